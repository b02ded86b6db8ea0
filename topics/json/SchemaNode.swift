/// One compiled subschema; others are referred to by their index.
struct SchemaNode: Sendable {
  /// `true` and `false` as schemas.
  var always: Bool?
  var types: SchemaTypes?
  var properties: [ExactString: Int] = [:]
  var required: [String] = []
  var additional: Int?
  var allowed: [JSON]?
  var anyOf: [Int] = []
  var items: Int?
  var itemCount: ClosedRange<Int> = 0...Int.max
  var length: ClosedRange<Int> = 0...Int.max
  var minimum: JSON?
  var maximum: JSON?
  var exclusiveMinimum: JSON?
  var exclusiveMaximum: JSON?
  var multipleOf: JSON?
  var pattern: Pattern?
  var format: StringFormat?
  var reference: Int?
}

/// A set of JSON Schema's type names.
struct SchemaTypes: OptionSet, Sendable {
  let rawValue: UInt8

  static let null = SchemaTypes(rawValue: 1)
  static let boolean = SchemaTypes(rawValue: 2)
  static let integer = SchemaTypes(rawValue: 4)
  static let number = SchemaTypes(rawValue: 8)
  static let string = SchemaTypes(rawValue: 16)
  static let array = SchemaTypes(rawValue: 32)
  static let object = SchemaTypes(rawValue: 64)

  static let names: [(String, SchemaTypes)] = [
    ("null", .null), ("boolean", .boolean), ("integer", .integer), ("number", .number), ("string", .string),
    ("array", .array), ("object", .object),
  ]

  init(rawValue: UInt8) { self.rawValue = rawValue }

  init?(name: String) {
    guard let match = Self.names.first(where: { $0.0 == name }) else { return nil }
    self = match.1
  }

  /// Whether the value is of one of these types. (Not called `contains`: `.null` would be a JSON value again.)
  func fit(_ value: JSON) -> Bool {
    switch value {
    case .null: contains(.null)
    case .bool: contains(.boolean)
    case .integer: contains(.integer) || contains(.number)
    case .number(let number): contains(.number) || contains(.integer) && number == number.rounded(.towardZero)
    case .string: contains(.string)
    case .array: contains(.array)
    case .object: contains(.object)
    }
  }

  var description: String {
    Self.names.filter { contains($0.1) }.map(\.0).joined(separator: " or ")
  }
}
