/// What happens to text before its words are merged, and to ids afterwards: the parts of a `tokenizer.json` besides the vocabulary.
struct TokenizerPipeline: Sendable, Hashable {
  /// Whether text is brought to Unicode's normalization form C.
  var normalizesToNFC = false
  /// How text is split, one step after the other; none at all leaves it one word.
  var splits: [WordSplit] = [.qwen2]
  /// Whether a word that is a token of the vocabulary is that token, whatever merging would give.
  var ignoresMerges = false
  /// The ids that are put before and after a text.
  var prefix: [Int32] = []
  var suffix: [Int32] = []

  /// The bytes of a text as it is after normalization.
  func normalized(_ text: String) -> [UInt8] {
    let bytes = Array(text.utf8)
    return normalizesToNFC
      ? bytes.withUnsafeBufferPointer { NormalizationFormC.shared.normalized($0) } ?? bytes : bytes
  }
}
