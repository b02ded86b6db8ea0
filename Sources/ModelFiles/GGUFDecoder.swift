/// The names of a Qwen2 decoder's parameters in Hugging Face and in GGUF files.
public enum GGUFNames {
  private static let outer = [
    ("model.embed_tokens.weight", "token_embd.weight"), ("model.norm.weight", "output_norm.weight"),
    ("lm_head.weight", "output.weight"),
  ]
  private static let inner = [
    ("input_layernorm", "attn_norm"), ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"), ("self_attn.o_proj", "attn_output"), ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down"),
  ]

  /// The GGUF name of a parameter, or nil for a name that is not canonical.
  public static func gguf(_ name: String) -> String? {
    if let pair = outer.first(where: { $0.0 == name }) { return pair.1 }
    let prefix = "model.layers."
    guard name.hasPrefix(prefix), let dot = name.dropFirst(prefix.count).firstIndex(of: ".") else { return nil }
    let layer = name[name.index(name.startIndex, offsetBy: prefix.count)..<dot]
    let rest = name[name.index(after: dot)...]
    guard let end = rest.lastIndex(of: "."), Int(layer) != nil,
      let pair = inner.first(where: { $0.0 == rest[..<end] })
    else { return nil }
    return "blk.\(layer).\(pair.1)\(rest[end...])"
  }
}

extension GGUFWriter {
  /// How the matrices of a decoder are stored (`enum llama_ftype`).
  public enum FileType: UInt32, Sendable {
    /// Single precision.
    case f32 = 0
    /// Half precision.
    case f16 = 1
    /// Q8_0 blocks.
    case q8 = 7
    /// Q4_0 blocks.
    case q4 = 2
  }

  /// Adds the metadata that describes a Qwen2 decoder: `general.architecture`, `general.name` and `qwen2.*`.
  ///
  /// - Throws: ``ModelFileError`` `invalid_configuration`, or `unsupported` where llama.cpp's qwen2 could not say it
  ///   (attention without biases).
  public mutating func set(
    _ configuration: DecoderConfiguration, name: String, fileType: FileType
  ) throws(ModelFileError) {
    try configuration.validate()
    guard configuration.attentionBias else {
      throw ModelFileError(
        .unsupported, context: name, expected: "biases on query, key and value", found: "none",
        advice: "train the model with attention biases, as Qwen2 has them")
    }
    try set("general.architecture", .string("qwen2"))
    try set("general.name", .string(name))
    try set("general.file_type", .uint32(fileType.rawValue))
    if fileType == .q8 || fileType == .q4 { try set("general.quantization_version", .uint32(2)) }
    let sizes = [
      ("block_count", configuration.layerCount), ("context_length", configuration.maximumPositions),
      ("embedding_length", configuration.hiddenSize), ("feed_forward_length", configuration.feedForwardSize),
      ("attention.head_count", configuration.headCount), ("attention.head_count_kv", configuration.keyValueHeadCount),
    ]
    for (key, size) in sizes { try set("qwen2." + key, .uint32(UInt32(size))) }
    try set("qwen2.rope.freq_base", .float32(Float(configuration.ropeTheta)))
    try set("qwen2.attention.layer_norm_rms_epsilon", .float32(Float(configuration.normEpsilon)))
  }
}

extension GGUFFile {
  /// The decoder that the file describes, checked against the shapes of its tensors.
  ///
  /// - Throws: ``ModelFileError`` `unsupported` for other architectures than qwen2 and for rotary scaling; `missing`,
  ///   `malformed`, `invalid_configuration`, `shape_mismatch`.
  public func decoderConfiguration() throws(ModelFileError) -> DecoderConfiguration {
    let architecture = try entry("general.architecture", \.string)
    guard architecture == "qwen2" else {
      throw ModelFileError(
        .unsupported, context: "\(name), general.architecture", expected: "\"qwen2\"", found: "\"\(architecture)\"",
        advice: "use a Qwen2 or Qwen2.5 model")
    }
    let scaling = metadata["qwen2.rope.scaling.type"]?.string ?? "none"
    guard scaling == "none" else {
      throw ModelFileError(
        .unsupported, context: "\(name), qwen2.rope.scaling.type", expected: "\"none\"", found: "\"\(scaling)\"",
        advice: "use a model without rotary scaling")
    }
    let heads = try entry("qwen2.attention.head_count", \.integer)
    let configuration = DecoderConfiguration(
      vocabularySize: try tensor("token_embd.weight").shape.first ?? 0,
      hiddenSize: try entry("qwen2.embedding_length", \.integer),
      layerCount: try entry("qwen2.block_count", \.integer), headCount: heads,
      keyValueHeadCount: metadata["qwen2.attention.head_count_kv"]?.integer ?? heads,
      feedForwardSize: try entry("qwen2.feed_forward_length", \.integer),
      maximumPositions: try entry("qwen2.context_length", \.integer),
      ropeTheta: Self.shortest(metadata["qwen2.rope.freq_base"]) ?? 10_000,
      normEpsilon: Self.shortest(try entry("qwen2.attention.layer_norm_rms_epsilon") { $0 }) ?? .nan,
      tiesEmbeddings: !contains("output.weight"), attentionBias: contains("blk.0.attn_q.bias"))
    try configuration.validate()
    for (parameter, shape) in configuration.parameters { _ = try self.parameter(parameter, shape: shape) }
    return configuration
  }

  /// The tensor of a parameter, by its canonical (Hugging Face) name.
  ///
  /// - Throws: ``ModelFileError`` `missing`, or `shape_mismatch` where `shape` is given and differs.
  public func parameter(_ parameter: String, shape: [Int]? = nil) throws(ModelFileError) -> TensorView {
    let tensor = try tensor(GGUFNames.gguf(parameter) ?? parameter)
    if let shape, tensor.shape != shape {
      throw ModelFileError(
        .shapeMismatch, context: "\(name), \(tensor.name)", expected: "\(shape)", found: "\(tensor.shape)",
        advice: "check that the file belongs to this configuration")
    }
    return tensor
  }

  /// The shortest decimal number that gives a stored single-precision value, so that 1e-6 comes back as 1e-6.
  private static func shortest(_ value: GGUFValue?) -> Double? {
    if case .float32(let number)? = value { return Double("\(number)") ?? Double(number) }
    return value?.double
  }
}
