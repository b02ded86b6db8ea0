public import Topics

/// The pieces of JSON that are one token each: the openings of functions, the keys with what follows them, the closers.
public enum StructureTokens {
  /// What ends values and stands between them, for any set of functions.
  public static let closers = [
    "\",", "\",\"", "\"}}", "\"],", "\"]}}", ",", "}}", "],", "]}}", "},", "}}}", "\"},", "\"}}}",
  ]

  /// What opens the arguments of a function: `{"name":"f","arguments":{`.
  public static func opening(_ function: String) -> String {
    "{\"name\":" + JSON.string(function).text + ",\"arguments\":{"
  }

  /// What follows a key, by the kind of its value.
  public enum Opener: String, Sendable, CaseIterable {
    /// A string.
    case string = "\""
    /// An array whose first element is a string.
    case strings = "[\""
    /// Another array.
    case array = "["
    /// An object.
    case object = "{"
    /// A number, a Boolean, null.
    case plain = ""

    /// The opener of a value.
    public init(_ value: JSON) {
      switch value {
      case .string: self = .string
      case .array(let elements):
        if case .string? = elements.first { self = .strings } else { self = .array }
      case .object: self = .object
      case .null, .bool, .integer, .number: self = .plain
      }
    }
  }

  /// A key with its colon and what opens its value: `"k":"`.
  public static func key(_ name: String, _ opener: Opener) -> String { JSON.string(name).text + ":" + opener.rawValue }

  /// What a structure token names: a function where the opener is nil, else a key; nil for closers.
  package static func named(_ text: String) -> (name: String, opener: Opener?)? {
    if let name = (try? JSON.parse(text + "}}"))?["name"]?.stringValue { return (name, nil) }
    for opener in Opener.allCases where text.hasSuffix(":" + opener.rawValue) {
      let name = try? JSON.parse(String(text.dropLast(opener.rawValue.count + 1)))
      if let name = name?.stringValue { return (name, opener) }
    }
    return nil
  }

  /// All structure tokens for a set of functions, each once: per function its opening and its keys, in the schema's order,
  /// nested objects included, in every variant that the schema allows; then the ``closers``.
  ///
  /// Keys with characters other than printable ASCII have no token and are spelled: readers disagree about the bytes of such
  /// tokens.
  public static func texts(for functions: FunctionSet) -> [String] {
    var texts: [String] = []
    var seen: Set<String> = []
    func add(_ text: String) {
      let isPrintable = text.utf8.allSatisfy { (0x20...0x7E).contains($0) } && text.utf8.count <= 1024
      if isPrintable, seen.insert(text).inserted { texts.append(text) }
    }
    for function in functions.functions {
      add(opening(function.name))
      let schema = SchemaNavigator(function.parameters)
      schema.visitProperties { name, openers in
        for opener in Opener.allCases where openers.contains(opener) { add(key(name, opener)) }
      }
    }
    for closer in closers { add(closer) }
    return texts
  }
}
