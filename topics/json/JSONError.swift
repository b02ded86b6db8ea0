/// Why bytes are not acceptable JSON.
public struct JSONError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What is wrong; the raw value is a bounded metric label.
  public enum Code: String, Sendable, CaseIterable {
    /// More bytes than allowed.
    case tooLarge = "json_too_large"
    /// Arrays and objects nested deeper than allowed.
    case tooDeep = "json_too_deep"
    /// The bytes end within a value, or there are none.
    case truncated = "json_truncated"
    /// A byte that the grammar does not allow at this place.
    case unexpectedByte = "json_unexpected_byte"
    /// A string that is not UTF-8.
    case invalidUTF8 = "json_invalid_utf8"
    /// An escape that does not exist, or half of a surrogate pair.
    case invalidEscape = "json_invalid_escape"
    /// A number beyond the range of a double, or written with more than 1,024 characters.
    case numberOutOfRange = "json_number_out_of_range"
    /// A key that its object already has.
    case duplicateKey = "json_duplicate_key"
    /// Something after the value's end.
    case trailingBytes = "json_trailing_bytes"
  }

  /// What is wrong.
  public let code: Code
  /// Where, in bytes from the start.
  public let offset: Int
  /// What was expected or found, at most 120 characters.
  public let detail: String

  /// An error at `offset`.
  public init(code: Code, offset: Int, detail: String) {
    self.code = code
    self.offset = offset
    self.detail = String(detail.prefix(120))
  }

  /// One sentence that says what is wrong and where.
  public var description: String { "The JSON is not valid at byte \(offset): \(detail)." }
}
