package import Tokenization

/// A row of the embedding that every student that starts from a base has, whatever its vocabulary: what the controls, the closers
/// and the space look like, and what functions and keys have in common.
///
/// Never trained with the base: element i of a row is a function of (seed, row, i).
package enum SharedRow: Hashable, Sendable {
  case control(Int)
  case closer(Int)
  case space
  /// Part of every function's opening.
  case function
  /// Part of every key with this opener.
  case key(StructureTokens.Opener)

  package static let endOfText = SharedRow.control(0)
  static let user = SharedRow.control(1)
  static let call = SharedRow.control(5)

  static func closer(_ text: String) -> SharedRow {
    .closer(StructureTokens.closers.firstIndex(of: text) ?? 0)
  }

  /// Those that are tokens in generated lessons, where their numbers are ids.
  static let tokens =
    ControlTokens.texts.indices.map(SharedRow.control) + StructureTokens.closers.indices.map(SharedRow.closer) + [
      .space
    ]
  static let tokenCount = ControlTokens.texts.count + StructureTokens.closers.count + 1

  /// Its number.
  var number: Int {
    switch self {
    case .control(let index): index
    case .closer(let index): ControlTokens.texts.count + index
    case .space: Self.tokenCount - 1
    case .function: Self.tokenCount
    case .key(let opener): Self.tokenCount + 1 + (StructureTokens.Opener.allCases.firstIndex(of: opener) ?? 0)
    }
  }

  var id: Int32 { Int32(number) }
}
