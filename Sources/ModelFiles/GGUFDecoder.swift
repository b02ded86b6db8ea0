/// The names of a decoder's parameters in Hugging Face and in GGUF files.
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

extension DecoderConfiguration {
  /// llama.cpp's name of the architecture.
  var ggufArchitecture: String { attentionBias ? "qwen2" : "llama" }

  /// Which row of a parameter each row of its tensor in a GGUF file is; nil where they are the same.
  ///
  /// llama.cpp's `llama` turns neighbouring channels of queries and keys where Hugging Face turns channels half a head
  /// apart: each head's rows are interleaved.
  public func ggufRowOrder(_ parameter: String) -> [Int32]? {
    let heads: Int
    if parameter.hasSuffix("self_attn.q_proj.weight") {
      heads = headCount
    } else if parameter.hasSuffix("self_attn.k_proj.weight") {
      heads = keyValueHeadCount
    } else {
      return nil
    }
    guard !attentionBias else { return nil }
    let half = headSize / 2
    return (0..<heads * headSize).map { row in
      let (head, channel) = (row / headSize, row % headSize)
      return Int32(head * headSize + channel % 2 * half + channel / 2)
    }
  }
}

extension GGUFWriter {
  /// How the matrices of a decoder are stored (`enum llama_ftype`).
  public enum FileType: UInt32, Sendable {
    /// Single precision.
    case f32 = 0
    /// Half precision.
    case f16 = 1
    /// bfloat16.
    case bf16 = 32
    /// Q8_0 blocks.
    case q8 = 7
    /// Q4_0 blocks.
    case q4 = 2
    /// Q6_K blocks.
    case q6 = 18
    /// Q4_K blocks.
    case q4k = 14
  }

  /// Adds the metadata that describes a decoder: `general.architecture` (`qwen2` with attention biases, else `llama`),
  /// `general.name` and the sizes; and, where rotary frequencies are scaled, the tensor of their divisors.
  ///
  /// - Throws: ``ModelFileError`` `invalid_configuration`.
  public mutating func set(
    _ configuration: DecoderConfiguration, name: String, fileType: FileType
  ) throws(ModelFileError) {
    try configuration.validate()
    let architecture = configuration.ggufArchitecture
    try set("general.architecture", .string(architecture))
    try set("general.name", .string(name))
    try set("general.file_type", .uint32(fileType.rawValue))
    if [.q8, .q4, .q6, .q4k].contains(fileType) { try set("general.quantization_version", .uint32(2)) }
    let sizes = [
      ("block_count", configuration.layerCount), ("context_length", configuration.maximumPositions),
      ("embedding_length", configuration.hiddenSize), ("feed_forward_length", configuration.feedForwardSize),
      ("attention.head_count", configuration.headCount), ("attention.head_count_kv", configuration.keyValueHeadCount),
    ]
    for (key, size) in sizes { try set("\(architecture).\(key)", .uint32(UInt32(size))) }
    try set("\(architecture).rope.freq_base", .float32(Float(configuration.ropeTheta)))
    try set("\(architecture).attention.layer_norm_rms_epsilon", .float32(Float(configuration.normEpsilon)))
    if !configuration.attentionBias {
      try set("llama.rope.dimension_count", .uint32(UInt32(configuration.headSize)))
      try set("llama.vocab_size", .uint32(UInt32(configuration.vocabularySize)))
    }
    if let divisors = configuration.ropeDivisors {
      let bytes = divisors.flatMap { value in withUnsafeBytes(of: Float(value).bitPattern.littleEndian) { Array($0) } }
      try add(GGUFFile.ropeDivisorsName, type: .f32, shape: [divisors.count], bytes)
    }
  }
}

extension GGUFFile {
  /// The tensor with the divisors of the rotary frequencies.
  static let ropeDivisorsName = "rope_freqs.weight"

  /// The decoder that the file describes, checked against the shapes of its tensors.
  ///
  /// - Throws: ``ModelFileError`` `unsupported` for other architectures than qwen2 and llama, and for rotary scaling other
  ///   than by divisors; `missing`, `malformed`, `invalid_configuration`, `shape_mismatch`.
  public func decoderConfiguration() throws(ModelFileError) -> DecoderConfiguration {
    let architecture = try entry("general.architecture", \.string)
    guard architecture == "qwen2" || architecture == "llama" else {
      throw ModelFileError(
        .unsupported, context: "\(name), general.architecture", expected: "\"qwen2\" or \"llama\"",
        found: "\"\(architecture)\"", advice: "use a model of the Qwen2 or Llama family")
    }
    let scaling = metadata["\(architecture).rope.scaling.type"]?.string ?? "none"
    guard scaling == "none" else {
      throw ModelFileError(
        .unsupported, context: "\(name), \(architecture).rope.scaling.type", expected: "\"none\"",
        found: "\"\(scaling)\"", advice: "use a model without rotary scaling")
    }
    let heads = try entry("\(architecture).attention.head_count", \.integer)
    let hasBias = contains("blk.0.attn_q.bias")
    guard hasBias == (architecture == "qwen2") else {
      throw ModelFileError(
        .unsupported, context: "\(name), blk.0.attn_q.bias",
        expected: hasBias ? "no bias in a llama" : "a bias in a qwen2",
        found: hasBias ? "one" : "none", advice: "use a model of the Qwen2 or Llama family")
    }
    let configuration = DecoderConfiguration(
      vocabularySize: try tensor("token_embd.weight").shape.first ?? 0,
      hiddenSize: try entry("\(architecture).embedding_length", \.integer),
      layerCount: try entry("\(architecture).block_count", \.integer), headCount: heads,
      keyValueHeadCount: metadata["\(architecture).attention.head_count_kv"]?.integer ?? heads,
      feedForwardSize: try entry("\(architecture).feed_forward_length", \.integer),
      maximumPositions: try entry("\(architecture).context_length", \.integer),
      ropeTheta: Self.shortest(metadata["\(architecture).rope.freq_base"]) ?? 10_000, ropeScaling: try ropeScaling(),
      normEpsilon: Self.shortest(try entry("\(architecture).attention.layer_norm_rms_epsilon") { $0 }) ?? .nan,
      tiesEmbeddings: !contains("output.weight"), attentionBias: hasBias)
    try configuration.validate()
    for (parameter, shape) in configuration.parameters { _ = try self.parameter(parameter, shape: shape) }
    return configuration
  }

  private func ropeScaling() throws(ModelFileError) -> RopeScaling? {
    contains(Self.ropeDivisorsName) ? .divisors(try tensor(Self.ropeDivisorsName).floats()) : nil
  }

  /// The tensor of a parameter, by its canonical (Hugging Face) name; its rows in the order of
  /// ``DecoderConfiguration/ggufRowOrder(_:)``.
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
