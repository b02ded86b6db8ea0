/// What the regular expressions of pre-tokenizers tell apart.
enum ScalarClass: UInt8 {
  /// Marks, symbols, control characters: everything else.
  case other = 0
  /// Unicode categories L*.
  case letter = 1
  /// Unicode categories N*.
  case number = 2
  /// White_Space but for carriage return and line feed.
  case space = 3
  /// Carriage return or line feed.
  case newline = 4
  /// A byte that is not part of valid UTF-8.
  case invalid = 5
}

/// A byte of flags for every Unicode scalar, from ``UnicodeData``: what the peer knows, whatever this system's Unicode version is.
struct ScalarTable: Sendable {
  /// The bits in which the ``ScalarClass`` is.
  static let classBits: UInt8 = 7
  /// `\w`: a token that must be a single word is not found next to it.
  static let word: UInt8 = 8
  /// What the pre-tokenizer Digits splits off.
  static let numeric: UInt8 = 16
  /// What normalization form C may change, reorder, or compose with what is before it.
  static let unstable: UInt8 = 32
  /// The flags of bytes that are not part of valid UTF-8.
  static let invalid = ScalarClass.invalid.rawValue

  static let shared = ScalarTable()

  /// Flags by scalar value, for all of 0…10FFFF.
  let flags: [UInt8]

  private init() {
    var flags: [UInt8] = []
    flags.reserveCapacity(0x110000)
    var current: UInt8 = 0
    // Nil where no run has begun, 0 where nothing is said yet of how long the run is.
    var count: Int?
    func end() { if let count { flags.append(contentsOf: repeatElement(current, count: max(count, 1))) } }
    UnicodeData.runs.withUTF8Buffer { text in
      for byte in text {
        if byte >= UInt8(ascii: "a") {
          end()
          (current, count) = (UnicodeData.flags[Int(byte - UInt8(ascii: "a"))], 0)
        } else {
          count = (count ?? 0) << 4 | UnicodeData.hexadecimal(byte)
        }
      }
    }
    end()
    self.flags = flags
  }
}

extension UnicodeData {
  /// The value of a hexadecimal digit in upper case.
  static func hexadecimal(_ byte: UInt8) -> Int { Int(byte < 0x3A ? byte - 0x30 : byte - 0x37) }

  /// The numbers of a table, in hexadecimal with spaces after them.
  static func numbers(_ table: StaticString) -> [UInt32] {
    var numbers: [UInt32] = []
    var value: UInt32 = 0
    table.withUTF8Buffer { text in
      for byte in text {
        if byte == UInt8(ascii: " ") {
          numbers.append(value)
          value = 0
        } else {
          value = value << 4 | UInt32(hexadecimal(byte))
        }
      }
    }
    return numbers
  }
}
