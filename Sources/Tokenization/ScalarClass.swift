/// What the pre-tokenizer tells apart.
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

  init(_ scalar: Unicode.Scalar) {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: self = .letter
    case .decimalNumber, .letterNumber, .otherNumber: self = .number
    default:
      if scalar == "\r" || scalar == "\n" {
        self = .newline
      } else {
        self = scalar.properties.isWhitespace ? .space : .other
      }
    }
  }
}

/// The classes of all Unicode scalars, built once from the standard library's properties.
///
/// One byte a scalar up to U+3347F, after which no letters, numbers or spaces are assigned. Building takes some milliseconds.
struct ScalarClassTable: Sendable {
  /// The table for all scalars.
  static let all = ScalarClassTable(limit: 0x33480)
  /// The table for ASCII alone, at once.
  static let ascii = ScalarClassTable(limit: 0x80)

  /// Raw values of `ScalarClass` by scalar value; 0, other, beyond.
  let classes: [UInt8]

  private init(limit: UInt32) {
    classes = (0..<limit).map { value in
      Unicode.Scalar(value).map { ScalarClass($0).rawValue } ?? ScalarClass.other.rawValue
    }
  }
}
