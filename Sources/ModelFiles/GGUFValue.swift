/// One metadata value of a GGUF file.
public enum GGUFValue: Sendable, Hashable {
  case uint8(UInt8)
  case int8(Int8)
  case uint16(UInt16)
  case int16(Int16)
  case uint32(UInt32)
  case int32(Int32)
  case uint64(UInt64)
  case int64(Int64)
  case float32(Float)
  case float64(Double)
  case bool(Bool)
  case string(String)
  /// Values of one kind; arrays of arrays are not supported.
  case array(Kind, [GGUFValue])

  /// The kinds of values, with their numbers in the file.
  public enum Kind: UInt32, Sendable, Hashable {
    /// The kinds, each named as its Swift type.
    case uint8 = 0, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

    /// The fewest bytes that one value takes in a file.
    var minimumBytes: Int {
      switch self {
      case .uint8, .int8, .bool: 1
      case .uint16, .int16: 2
      case .uint32, .int32, .float32: 4
      case .string, .uint64, .int64, .float64: 8
      case .array: 12
      }
    }
  }

  /// The kind of this value.
  public var kind: Kind {
    switch self {
    case .uint8: .uint8
    case .int8: .int8
    case .uint16: .uint16
    case .int16: .int16
    case .uint32: .uint32
    case .int32: .int32
    case .uint64: .uint64
    case .int64: .int64
    case .float32: .float32
    case .float64: .float64
    case .bool: .bool
    case .string: .string
    case .array: .array
    }
  }

  /// An array of strings.
  public static func strings(_ values: some Sequence<String>) -> GGUFValue {
    .array(.string, values.map { .string($0) })
  }

  /// An array of 32-bit integers.
  public static func integers(_ values: some Sequence<Int32>) -> GGUFValue { .array(.int32, values.map { .int32($0) }) }

  /// The value as an integer where it is one, of any width, and fits.
  public var integer: Int? {
    switch self {
    case .uint8(let value): Int(value)
    case .int8(let value): Int(value)
    case .uint16(let value): Int(value)
    case .int16(let value): Int(value)
    case .uint32(let value): Int(value)
    case .int32(let value): Int(value)
    case .uint64(let value): Int(exactly: value)
    case .int64(let value): Int(exactly: value)
    default: nil
    }
  }

  /// The value as a double where it is a number.
  public var double: Double? {
    switch self {
    case .float32(let value): Double(value)
    case .float64(let value): value
    default: integer.map(Double.init)
    }
  }

  /// The value where it is a Boolean.
  public var boolean: Bool? {
    if case .bool(let value) = self { value } else { nil }
  }

  /// The value where it is a string.
  public var string: String? {
    if case .string(let value) = self { value } else { nil }
  }

  /// The values where this is an array of strings.
  public var strings: [String]? {
    guard case .array(.string, let values) = self else { return nil }
    return values.compactMap(\.string)
  }

  /// The values where this is an array of integers of any width, all of which fit.
  public var integers: [Int]? {
    guard case .array(let kind, let values) = self, kind != .string else { return nil }
    let integers = values.compactMap(\.integer)
    return integers.count == values.count ? integers : nil
  }
}
