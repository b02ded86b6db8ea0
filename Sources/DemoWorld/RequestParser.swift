internal import Topics

/// Reads a text of the grammar back. All pools are closed, so reading is matching.
struct RequestParser: Sendable {
  /// A part of a template.
  enum Piece: Sendable {
    case literal(String)
    case slot(key: String, values: [Vocabulary.Value])
  }

  private enum Pattern: Sendable {
    case literal([UInt8])
    case slot(key: String, values: [(text: [UInt8], json: JSON)])
  }

  private let patterns: [(template: Templates.Template, pieces: [Pattern])]

  init() {
    patterns = Templates.all.map { template in
      let pieces = Self.pieces(of: template).map { piece -> Pattern in
        switch piece {
        case .literal(let text): .literal(Array(text.lowercased().utf8))
        case .slot(let key, let values):
          .slot(key: key, values: values.map { (Array($0.text.lowercased().utf8), $0.json) })
        }
      }
      return (template, pieces)
    }
  }

  /// The parts of a template, with the values of its slots.
  static func pieces(of template: Templates.Template) -> [Piece] {
    var pieces: [Piece] = []
    for (index, part) in template.text.split(separator: "{", omittingEmptySubsequences: false).enumerated() {
      if index == 0 {
        if !part.isEmpty { pieces.append(.literal(String(part))) }
        continue
      }
      let halves = part.split(separator: "}", maxSplits: 1, omittingEmptySubsequences: false)
      let key = String(halves[0])
      pieces.append(.slot(key: key, values: Vocabulary.pool(template.function, key)))
      if halves.count == 2, !halves[1].isEmpty { pieces.append(.literal(String(halves[1]))) }
    }
    return pieces
  }

  /// Every call that the text could mean, each once.
  func calls(for text: String) -> [Call] {
    guard text.utf8.count <= 1_024 else { return [] }
    var bytes = Array(text.lowercased().utf8)
    while let last = bytes.last, last == UInt8(ascii: ".") || last == UInt8(ascii: "!") || last == UInt8(ascii: "?") {
      bytes.removeLast()
    }
    var found: [Call] = []
    for (template, pieces) in patterns {
      for sentence in sentences(in: bytes, mood: template.mood) {
        guard let arguments = Self.match(pieces[...], sentence) else { continue }
        var all = arguments
        all.merge(template.constants)
        let call = Call(name: template.function, arguments: all)
        if !found.contains(call) { found.append(call) }
      }
    }
    return found
  }

  /// The text without each fitting prefix and suffix.
  private func sentences(in bytes: [UInt8], mood: Templates.Mood) -> [ArraySlice<UInt8>] {
    let prefixes = mood == .statement ? Templates.interjections : Templates.prefixes
    let suffixes = mood == .command ? Templates.suffixes : [""]
    var sentences: [ArraySlice<UInt8>] = []
    for prefix in prefixes {
      let before = Array(prefix.lowercased().utf8)
      guard bytes.starts(with: before) else { continue }
      for suffix in suffixes {
        let after = Array(suffix.lowercased().utf8)
        guard bytes.count >= before.count + after.count, bytes.suffix(after.count).elementsEqual(after) else {
          continue
        }
        sentences.append(bytes[before.count..<bytes.count - after.count])
      }
    }
    return sentences
  }

  private static func match(_ pieces: ArraySlice<Pattern>, _ text: ArraySlice<UInt8>) -> JSONObject? {
    guard let piece = pieces.first else { return text.isEmpty ? [:] : nil }
    switch piece {
    case .literal(let literal):
      return text.starts(with: literal) ? match(pieces.dropFirst(), text.dropFirst(literal.count)) : nil
    case .slot(let key, let values):
      for value in values where text.starts(with: value.text) {
        guard let rest = match(pieces.dropFirst(), text.dropFirst(value.text.count)) else { continue }
        var arguments: JSONObject = [key: value.json]
        arguments.merge(rest)
        return arguments
      }
      return nil
    }
  }
}
