import Foundation

extension Tokenizer {
  /// The text in normalization form C, or nil where it surely is in it already.
  ///
  /// All scalars below U+0300 are: no lead byte below 0xCC needs a look.
  static func normalized(_ text: String) -> String? {
    guard text.utf8.contains(where: { $0 >= 0xCC }) else { return nil }
    return text.precomposedStringWithCanonicalMapping
  }
}
