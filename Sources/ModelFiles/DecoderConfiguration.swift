/// The sizes and constants of one decoder of the Qwen2 or the Llama family.
///
/// The families differ in two things that are here: Qwen2 has biases on query, key and value, and Llama 3 may scale the rotary
/// frequencies.
///
/// Everything that decides the shape of the weights and the arithmetic of the forward pass is here, and nothing else:
/// tokenizer, template and provenance travel separately.
public struct DecoderConfiguration: Sendable, Hashable {
  /// V, the number of rows of the token embedding.
  public var vocabularySize: Int
  /// C, the width of the residual stream.
  public var hiddenSize: Int
  /// L, the number of transformer blocks.
  public var layerCount: Int
  /// H, the number of query heads.
  public var headCount: Int
  /// The number of key/value heads; divides ``headCount``.
  public var keyValueHeadCount: Int
  /// Channels of one head; even, because rotary embeddings turn pairs.
  public var headSize: Int
  /// F, the inner width of the SwiGLU feed-forward block.
  public var feedForwardSize: Int
  /// The longest sequence, in tokens, that the model is meant for.
  public var maximumPositions: Int
  /// The base of the rotary frequencies (Reference: Su et al. 2021, arXiv 2104.09864, section 3.2.2).
  public var ropeTheta: Double
  /// How the rotary frequencies are scaled; nil: not at all.
  public var ropeScaling: RopeScaling?
  /// The constant added to the mean square in RMSNorm.
  public var normEpsilon: Double
  /// Whether the output projection is the token embedding.
  public var tiesEmbeddings: Bool
  /// Whether the query, key and value projections carry a bias, as Qwen2's do and Llama's do not.
  public var attentionBias: Bool

  /// Makes a configuration; `headSize` defaults to `hiddenSize / headCount`. Call ``validate()`` on outside values.
  public init(
    vocabularySize: Int, hiddenSize: Int, layerCount: Int, headCount: Int, keyValueHeadCount: Int,
    headSize: Int? = nil, feedForwardSize: Int, maximumPositions: Int = 2048, ropeTheta: Double = 10_000,
    ropeScaling: RopeScaling? = nil, normEpsilon: Double = 1e-6, tiesEmbeddings: Bool = true, attentionBias: Bool = true
  ) {
    self.vocabularySize = vocabularySize
    self.hiddenSize = hiddenSize
    self.layerCount = layerCount
    self.headCount = headCount
    self.keyValueHeadCount = keyValueHeadCount
    self.headSize = headSize ?? (headCount > 0 ? hiddenSize / headCount : 0)
    self.feedForwardSize = feedForwardSize
    self.maximumPositions = maximumPositions
    self.ropeTheta = ropeTheta
    self.ropeScaling = ropeScaling
    self.normEpsilon = normEpsilon
    self.tiesEmbeddings = tiesEmbeddings
    self.attentionBias = attentionBias
  }

  /// Checks every field against its range and the fields against each other.
  ///
  /// The upper limits keep every product of two sizes, and the parameter count, far from overflow.
  ///
  /// - Throws: ``ModelFileError`` with code `invalid_configuration`, naming the field, the rule and the value.
  public func validate() throws(ModelFileError) {
    try Self.check("vocabularySize", vocabularySize, in: 1...(1 << 22))
    try Self.check("hiddenSize", hiddenSize, in: 2...(1 << 16))
    try Self.check("layerCount", layerCount, in: 1...1024)
    try Self.check("headCount", headCount, in: 1...1024)
    try Self.check("keyValueHeadCount", keyValueHeadCount, in: 1...headCount)
    try Self.check("headSize", headSize, in: 2...4096)
    try Self.check("feedForwardSize", feedForwardSize, in: 1...(1 << 20))
    try Self.check("maximumPositions", maximumPositions, in: 1...(1 << 24))
    try Self.require(
      headCount % keyValueHeadCount == 0, "keyValueHeadCount", "a divisor of headCount \(headCount)", keyValueHeadCount)
    try Self.require(headSize % 2 == 0, "headSize", "an even number", headSize)
    try Self.require(
      headCount * headSize == hiddenSize, "headSize", "hiddenSize \(hiddenSize) / headCount \(headCount)", headSize)
    try Self.require(
      ropeTheta.isFinite && ropeTheta >= 1 && ropeTheta <= 1e12, "ropeTheta", "a finite number in 1…1e12", ropeTheta)
    if let problem = ropeScaling?.problem(headSize: headSize) {
      try Self.require(false, "ropeScaling", "positive numbers, one divisor for each pair of channels", problem)
    }
    try Self.require(
      normEpsilon.isFinite && normEpsilon > 0 && normEpsilon <= 0.1, "normEpsilon", "a finite number in (0, 0.1]",
      normEpsilon)
  }

  /// The canonical parameters in canonical order, each with its shape (row-major, outermost first: `[out, in]`).
  ///
  /// Names are Hugging Face's. The order is the order of the file, of the flat parameter buffer and of every digest.
  public var parameters: [(name: String, shape: [Int])] {
    let queries = headCount * headSize
    let keys = keyValueHeadCount * headSize
    var list: [(name: String, shape: [Int])] = [("model.embed_tokens.weight", [vocabularySize, hiddenSize])]
    for layer in 0..<max(0, layerCount) {
      let prefix = "model.layers.\(layer)."
      list.append((prefix + "input_layernorm.weight", [hiddenSize]))
      for (projection, rows) in [("q", queries), ("k", keys), ("v", keys)] {
        list.append((prefix + "self_attn.\(projection)_proj.weight", [rows, hiddenSize]))
        if attentionBias { list.append((prefix + "self_attn.\(projection)_proj.bias", [rows])) }
      }
      list.append((prefix + "self_attn.o_proj.weight", [hiddenSize, queries]))
      list.append((prefix + "post_attention_layernorm.weight", [hiddenSize]))
      list.append((prefix + "mlp.gate_proj.weight", [feedForwardSize, hiddenSize]))
      list.append((prefix + "mlp.up_proj.weight", [feedForwardSize, hiddenSize]))
      list.append((prefix + "mlp.down_proj.weight", [hiddenSize, feedForwardSize]))
    }
    list.append(("model.norm.weight", [hiddenSize]))
    if !tiesEmbeddings { list.append(("lm_head.weight", [vocabularySize, hiddenSize])) }
    return list
  }

  /// The divisors of the rotary frequencies, [headSize / 2]; nil where they are not scaled.
  public var ropeDivisors: [Double]? { ropeScaling?.divisors(headSize: headSize, theta: ropeTheta) }

  /// The number of parameters of the whole model.
  public var parameterCount: Int { parameters.reduce(0) { $0 + $1.shape.reduce(1, *) } }

  private static func check(_ field: String, _ value: Int, in range: ClosedRange<Int>) throws(ModelFileError) {
    try require(range.contains(value), field, "a number in \(range.lowerBound)…\(range.upperBound)", value)
  }

  private static func require(
    _ holds: Bool, _ field: String, _ rule: String, _ found: some CustomStringConvertible
  ) throws(ModelFileError) {
    guard holds else {
      throw ModelFileError(
        .invalidConfiguration, context: field, expected: rule, found: found.description,
        advice: "correct this value in the model's configuration")
    }
  }
}
