/// Where a string value that need not be in the request has got to: any valid UTF-8, with the short escapes.
struct TextCursor: Hashable {
  /// The most Unicode scalars of such a string.
  static let maximumScalars: Int32 = 512

  /// Unicode scalars so far.
  var scalars: Int32 = 0
  /// Bytes that the scalar under way still needs.
  var pending: UInt8 = 0
  /// Whether a backslash was just read.
  var isEscaping = false
  /// The bounds of the next continuation byte.
  var low: UInt8 = 0x80
  /// The bounds of the next continuation byte.
  var high: UInt8 = 0xBF

  /// Whether the closing quote may stand here.
  func canClose(minimum: Int32) -> Bool { pending == 0 && !isEscaping && scalars >= minimum }

  /// Reads one byte (not the closing quote); false when it leads nowhere.
  mutating func advance(_ byte: UInt8, maximum: Int32) -> Bool {
    if isEscaping {
      isEscaping = false
      return Self.escapes.contains(byte)
    }
    if pending > 0 {
      guard (low...high).contains(byte) else { return false }
      pending -= 1
      low = 0x80
      high = 0xBF
      return true
    }
    guard scalars < maximum else { return false }
    scalars += 1
    switch byte {
    case UInt8(ascii: "\\"): isEscaping = true
    case 0x20...0x7F: break
    case 0xC2...0xDF: pending = 1
    case 0xE0...0xEF:
      // Overlong forms and surrogates are not UTF-8.
      pending = 2
      low = byte == 0xE0 ? 0xA0 : 0x80
      high = byte == 0xED ? 0x9F : 0xBF
    case 0xF0...0xF4:
      pending = 3
      low = byte == 0xF0 ? 0x90 : 0x80
      high = byte == 0xF4 ? 0x8F : 0xBF
    default: return false
    }
    return true
  }

  private static let escapes = Array(#""\bfnrt"#.utf8)
}
