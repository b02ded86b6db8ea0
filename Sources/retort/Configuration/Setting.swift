import Topics

/// One key of `retort.yaml`: what it means, what it may hold, and what it is when nobody says.
struct Setting: Sendable {
  /// What a value must look like.
  enum Kind: Sendable {
    case text
    /// A name that is a folder's as well: see ``Setting/isName(_:)``.
    case name
    /// Text of so many bytes of UTF-8.
    case bytes(ClosedRange<Int>)
    case integer(ClosedRange<Int>)
    case number(ClosedRange<Double>)
    /// Text, or a number.
    case textOrNumber(ClosedRange<Double>)
    case flag
    case choice([String])
    case texts
    /// Anything: a list or a map that another part checks.
    case tree
  }

  /// The dotted path, such as `log.url`.
  let key: String
  let kind: Kind
  /// `nil` where there is no default and the key may be absent.
  let standard: JSON?
  /// One line for `retort.yaml` and `retort config lint`.
  let help: String

  init(_ key: String, _ kind: Kind, _ standard: JSON?, _ help: String) {
    self.key = key
    self.kind = kind
    self.standard = standard
    self.help = help
  }

  /// The environment variable that overrides it: `log.url` is `RETORT_LOG_URL`.
  var variable: String {
    "RETORT_" + key.uppercased().map { $0 == "." ? "_" : String($0) }.joined()
  }

  /// Whether its value is a list or a map that another part checks.
  var isTree: Bool {
    if case .tree = kind { return true }
    return false
  }

  /// What was expected, for an error.
  var expectation: String {
    switch kind {
    case .text: "text"
    case .name: Self.nameExpectation
    case .bytes(let range): "text of \(range.lowerBound) to \(range.upperBound) bytes"
    case .integer(let range): "a whole number from \(range.lowerBound) to \(range.upperBound)"
    case .number(let range): "a number from \(range.lowerBound) to \(range.upperBound)"
    case .textOrNumber(let range): "text, or a number from \(range.lowerBound) to \(range.upperBound)"
    case .flag: "true or false"
    case .choice(let names): "one of " + names.joined(separator: ", ")
    case .texts: "a list of texts"
    case .tree: "a list or a map"
    }
  }

  static let nameExpectation = "1 to 64 of a-z A-Z 0-9 . _ -"

  /// Whether a text can name a student: also as part of a file's name, and of a topic's.
  static func isName(_ text: String) -> Bool {
    let isPlain = text.utf8.allSatisfy { byte in
      (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
        || [0x2D, 0x2E, 0x5F].contains(byte)
    }
    return isPlain && (1...64).contains(text.utf8.count) && text.contains { $0 != "." }
  }

  /// Whether a value is of this kind and in its range.
  func accepts(_ value: JSON) -> Bool {
    switch kind {
    case .text: value.stringValue != nil
    case .name: value.stringValue.map(Self.isName) ?? false
    case .bytes(let range): value.stringValue.map { range.contains($0.utf8.count) } ?? false
    case .integer(let range): value.integerValue.map { range.contains(Int($0)) } ?? false
    case .number(let range): value.doubleValue.map { range.contains($0) } ?? false
    case .textOrNumber(let range): value.doubleValue.map { range.contains($0) } ?? (value.stringValue != nil)
    case .flag: value.boolValue != nil
    case .choice(let names): value.stringValue.map(names.contains) ?? false
    case .texts: value.arrayValue.map { $0.allSatisfy { $0.stringValue != nil } } ?? false
    case .tree: value.arrayValue != nil || value.objectValue != nil
    }
  }

  /// A value of this kind from the text of an environment variable or a flag.
  func value(from text: String) -> JSON? {
    let value: JSON? =
      switch kind {
      case .text, .name, .bytes, .choice: .string(text)
      case .integer: Int64(text).map { .integer($0) }
      case .number: Double(text).map { .number($0) }
      case .textOrNumber: Double(text).map { .number($0) } ?? .string(text)
      case .flag: ["true": true, "false": false, "1": true, "0": false][text].map { .bool($0) }
      // As in the file, or with commas between.
      case .texts:
        text.hasPrefix("[") ? try? JSON.parse(text) : .array(text.split(separator: ",").map { .string(String($0)) })
      case .tree: try? JSON.parse(text)
      }
    guard let value, accepts(value) else { return nil }
    return value
  }
}
