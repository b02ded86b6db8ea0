import Topics

/// Cuts the canonical text of a call into structure tokens and values.
///
/// Structure is known from the walk over the call, never searched for in the text, so that a value that looks like structure
/// stays a value. Structure that has no token is spelled.
struct AnswerWriter {
  /// A piece of the answer.
  enum Part: Sendable, Hashable {
    /// One token.
    case structure(Int32)
    /// Text that is encoded by itself.
    case text(String)
    /// A value's text, which is too, and the way to it from the arguments (RFC 6901).
    case value(String, pointer: String)
  }

  private(set) var parts: [Part] = []
  /// Structure that has been closed or separated, and not been written yet.
  private var pending = ""
  private let find: (String) -> Int32?

  /// - Parameter find: the structure token of a text.
  init(_ call: Call, find: @escaping (String) -> Int32?) {
    self.find = find
    let opening = StructureTokens.opening(call.name)
    parts.append(find(opening).map(Part.structure) ?? .text(opening))
    writeMembers(call.arguments, pointer: "")
    pending += "}"
    flush()
  }

  /// Members and the closing brace.
  private mutating func writeMembers(_ object: JSONObject, pointer: String) {
    for (index, member) in object.enumerated() {
      if index > 0 { pending += "," }
      writeKey(member.key, StructureTokens.Opener(member.value))
      write(member.value, pointer: pointer + "/" + JSONText.escaped(member.key), isOpened: true)
    }
    pending += "}"
  }

  private mutating func writeKey(_ key: String, _ opener: StructureTokens.Opener) {
    flush()
    if let token = find(StructureTokens.key(key, opener)) {
      parts.append(.structure(token))
    } else if let token = find(StructureTokens.key(key, .plain)) {
      parts.append(.structure(token))
      pending = opener.rawValue
    } else {
      parts.append(.text(StructureTokens.key(key, opener)))
    }
  }

  /// - Parameter isOpened: whether the value's opener is written or pending already.
  private mutating func write(_ value: JSON, pointer: String, isOpened: Bool) {
    if !isOpened { pending += StructureTokens.Opener(value).rawValue }
    switch value {
    case .string(let text):
      flush()
      let escaped = String(JSON.string(text).text.dropFirst().dropLast())
      if !escaped.isEmpty { parts.append(.value(escaped, pointer: pointer)) }
      pending = "\""
    case .array(let elements):
      let isStringOpened = StructureTokens.Opener(value) == .strings
      for (index, element) in elements.enumerated() {
        if index > 0 { pending += "," }
        write(element, pointer: "\(pointer)/\(index)", isOpened: index == 0 && isStringOpened)
      }
      pending += "]"
    case .object(let object): writeMembers(object, pointer: pointer)
    case .null, .bool, .integer, .number:
      flush()
      parts.append(.value(AnswerText.text(of: value), pointer: pointer))
    }
  }

  /// Writes what is pending: the longest closers first, single bytes where there are none.
  private mutating func flush() {
    var rest = Substring(pending)
    pending = ""
    while !rest.isEmpty {
      var match: (count: Int, token: Int32)?
      for closer in StructureTokens.closers where rest.hasPrefix(closer) && closer.count > match?.count ?? 0 {
        if let token = find(closer) { match = (closer.count, token) }
      }
      if let match {
        parts.append(.structure(match.token))
        rest = rest.dropFirst(match.count)
      } else {
        parts.append(.text(String(rest.removeFirst())))
      }
    }
  }
}
