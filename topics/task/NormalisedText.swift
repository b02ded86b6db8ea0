/// The text of a request reduced to what tells two requests apart, so that duplicates fall on one side of a split.
///
/// Lower case, runs of white space folded into one space, none at the ends, and no marks `.`, `?`, `!` at the end. It does not
/// stem, translate or apply Unicode compatibility forms.
public enum NormalisedText {
  /// The normalised form of one text.
  public static func of(_ text: String) -> String {
    var scalars = String.UnicodeScalarView()
    var pendingSpace = false
    for scalar in text.lowercased().unicodeScalars {
      if scalar.properties.isWhitespace {
        pendingSpace = !scalars.isEmpty
      } else {
        if pendingSpace { scalars.append(" ") }
        pendingSpace = false
        scalars.append(scalar)
      }
    }
    while let last = scalars.last, last == "." || last == "?" || last == "!" || last == " " {
      scalars.removeLast()
    }
    return String(scalars)
  }

  /// The normalised text of a conversation: what the user said, one line a message; everything said where no user spoke.
  public static func of(_ messages: [ChatMessage]) -> String {
    let asked = messages.filter { $0.role == .user }
    return (asked.isEmpty ? messages : asked).map { of($0.content) }.joined(separator: "\n")
  }
}
