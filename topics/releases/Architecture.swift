/// The shape of a released model.
public struct Architecture: Sendable, Hashable {
  /// The family: "qwen2".
  public var family: String
  /// Decoder layers.
  public var layers: Int
  /// The width of the residual stream.
  public var hiddenSize: Int
  /// Query heads.
  public var heads: Int
  /// Key and value heads.
  public var keyValueHeads: Int
  /// The feed-forward width, after pruning.
  public var feedForwardSize: Int
  /// Tokens in the vocabulary.
  public var vocabularySize: Int
  /// The longest sequence.
  public var maximumPositions: Int
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// A shape.
  public init(
    family: String = "qwen2", layers: Int, hiddenSize: Int, heads: Int, keyValueHeads: Int, feedForwardSize: Int,
    vocabularySize: Int, maximumPositions: Int
  ) {
    self.family = family
    self.layers = layers
    self.hiddenSize = hiddenSize
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.feedForwardSize = feedForwardSize
    self.vocabularySize = vocabularySize
    self.maximumPositions = maximumPositions
  }

  /// Reads the shape.
  ///
  /// - Throws: `TopicError` when a field is missing or not positive.
  public init(json: JSON) throws(TopicError) {
    let range: ClosedRange<Int64> = 1...(1 << 31)
    var fields = try Fields(json, in: "architecture")
    family = try fields.string("family", 1...64)
    layers = try fields.int("layers", range)
    hiddenSize = try fields.int("hidden_size", range)
    heads = try fields.int("heads", range)
    keyValueHeads = try fields.int("key_value_heads", range)
    feedForwardSize = try fields.int("feed_forward_size", range)
    vocabularySize = try fields.int("vocabulary_size", range)
    maximumPositions = try fields.int("maximum_positions", range)
    extra = fields.rest
  }

  /// The shape as JSON.
  public var json: JSON {
    let known: JSONObject = [
      "family": .string(family), "layers": .integer(Int64(layers)), "hidden_size": .integer(Int64(hiddenSize)),
      "heads": .integer(Int64(heads)), "key_value_heads": .integer(Int64(keyValueHeads)),
      "feed_forward_size": .integer(Int64(feedForwardSize)), "vocabulary_size": .integer(Int64(vocabularySize)),
      "maximum_positions": .integer(Int64(maximumPositions)),
    ]
    return .object(known.merging(extra))
  }
}
