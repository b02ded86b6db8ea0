public import Topics

extension Probe {
  /// Questions made from the functions alone: their names, descriptions and keys as plain words.
  ///
  /// They need not make sense: what counts is that a subscriber's runtime gives the released file's own answers.
  /// At most 32, the first functions of the set.
  public static func questions(for functions: FunctionSet) -> [[ChatMessage]] {
    functions.functions.prefix(32).map { function in
      let keys = function.propertyNames.prefix(4).joined(separator: " ")
      let words = "\(function.name) \(keys)".map { $0 == "_" || $0 == "-" ? " " : $0 }
      return [.user(String(String(words).prefix(160)))]
    }
  }
}
