public import ModelFiles

/// The sizes that pruning can change, of one Qwen2 decoder.
///
/// Files that `transformers` and llama.cpp both load have one feed-forward width, and query heads that together are as wide
/// as the residual stream (llama.cpp's qwen2 asks for it). So hidden width and query heads go together: C = H·D, D being
/// fixed; a key/value group goes with its query heads, and fewer query heads means as many from each group that stays.
public struct PruningShape: Sendable, Hashable {
  /// L, the number of blocks.
  public var layerCount: Int
  /// C, the width of the residual stream.
  public var hiddenSize: Int
  /// The number of key/value heads.
  public var keyValueHeadCount: Int
  /// F, the feed-forward width.
  public var feedForwardSize: Int
  /// V, the number of rows of the embedding.
  public var vocabularySize: Int

  /// The shape of a decoder as it is.
  public init(_ configuration: DecoderConfiguration) {
    layerCount = configuration.layerCount
    hiddenSize = configuration.hiddenSize
    keyValueHeadCount = configuration.keyValueHeadCount
    feedForwardSize = configuration.feedForwardSize
    vocabularySize = configuration.vocabularySize
  }

  /// The decoder of this shape that `parent` becomes.
  ///
  /// - Throws: ``CompressionError`` `mismatch` for a shape that pruning cannot give or files cannot say.
  public func configuration(prunedFrom parent: DecoderConfiguration) throws(CompressionError) -> DecoderConfiguration {
    func require(_ holds: Bool, _ axis: String, _ expected: String, _ found: Int) throws(CompressionError) {
      guard holds else {
        throw CompressionError(
          .mismatch, context: "pruning, \(axis)", expected: expected, found: "\(found)", advice: "choose another size")
      }
    }
    let (before, size) = (PruningShape(parent), parent.headSize)
    try require(
      (1...before.layerCount).contains(layerCount), "layers", "1 to \(before.layerCount) blocks", layerCount)
    try require(
      feedForwardSize == before.feedForwardSize
        || (feedForwardSize % 32 == 0 && (32...before.feedForwardSize).contains(feedForwardSize)),
      "ffn", "a multiple of 32 neurons, at most \(before.feedForwardSize)", feedForwardSize)
    try require(
      (1...before.vocabularySize).contains(vocabularySize), "vocabulary", "1 to \(before.vocabularySize) tokens",
      vocabularySize)
    try require(
      (1...before.keyValueHeadCount).contains(keyValueHeadCount), "kv", "1 to \(before.keyValueHeadCount) groups",
      keyValueHeadCount)
    let group = parent.headCount / parent.keyValueHeadCount
    let widest = keyValueHeadCount * group * size
    try require(
      hiddenSize > 0 && hiddenSize % (keyValueHeadCount * size) == 0 && hiddenSize <= widest
        && (hiddenSize % 32 == 0 || hiddenSize == before.hiddenSize), "hidden",
      "a multiple of 32 and of \(keyValueHeadCount) heads of \(size) channels, at most \(widest) with \(keyValueHeadCount) groups",
      hiddenSize)
    var result = parent
    result.layerCount = layerCount
    result.hiddenSize = hiddenSize
    result.headCount = hiddenSize / size
    result.keyValueHeadCount = keyValueHeadCount
    result.feedForwardSize = feedForwardSize
    result.vocabularySize = vocabularySize
    return result
  }
}
