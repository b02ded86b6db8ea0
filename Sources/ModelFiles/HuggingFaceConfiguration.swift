public import Topics

extension DecoderConfiguration {
  /// Reads a Hugging Face `config.json` of a Qwen2 or a Llama model.
  ///
  /// - Throws: ``ModelFileError`` `unsupported` for other architectures and for features that are not implemented (other
  ///   activations, rotary scaling other than Llama 3's, sliding windows, biases elsewhere); `malformed` for keys that are
  ///   absent or of another type; `invalid_configuration`.
  public init(huggingFace json: JSON, context: String = "config.json") throws(ModelFileError) {
    let reader = ConfigurationReader(json: json, context: context)
    try reader.requireSupported()
    let hidden = try reader.integer("hidden_size")
    let heads = try reader.integer("num_attention_heads")
    try reader.requireHeads(across: hidden, count: heads)
    self.init(
      vocabularySize: try reader.integer("vocab_size"), hiddenSize: hidden,
      layerCount: try reader.integer("num_hidden_layers"), headCount: heads,
      keyValueHeadCount: try reader.integer("num_key_value_heads", default: heads),
      headSize: try reader.optionalInteger("head_dim"),
      feedForwardSize: try reader.integer("intermediate_size"),
      maximumPositions: try reader.integer("max_position_embeddings", default: 32768),
      ropeTheta: try reader.ropeTheta(), ropeScaling: try reader.ropeScaling(),
      normEpsilon: try reader.number("rms_norm_eps") ?? 1e-6,
      tiesEmbeddings: json["tie_word_embeddings"]?.boolValue ?? false, attentionBias: reader.isQwen2)
    do {
      try validate()
    } catch {
      throw reader.named(error)
    }
  }

  /// The `config.json` of this model, for `transformers`: Qwen2's where there are attention biases, else Llama's.
  ///
  /// - Parameters:
  ///   - endOfText: the id that ends an answer.
  ///   - padding: the id that pads.
  ///   - beginning: the id that begins a text; nil, the default, for that of the end.
  /// - Throws: ``ModelFileError`` `unsupported` for a rotary scaling that such a file cannot say.
  public func huggingFace(endOfText: Int, padding: Int, beginning: Int? = nil) throws(ModelFileError) -> JSON {
    var object: JSONObject = [
      "architectures": [attentionBias ? "Qwen2ForCausalLM" : "LlamaForCausalLM"],
      "model_type": attentionBias ? "qwen2" : "llama", "vocab_size": .integer(Int64(vocabularySize)),
      "hidden_size": .integer(Int64(hiddenSize)), "intermediate_size": .integer(Int64(feedForwardSize)),
      "num_hidden_layers": .integer(Int64(layerCount)), "num_attention_heads": .integer(Int64(headCount)),
      "num_key_value_heads": .integer(Int64(keyValueHeadCount)),
      "max_position_embeddings": .integer(Int64(maximumPositions)), "hidden_act": "silu",
      "rms_norm_eps": .number(normEpsilon), "rope_theta": .number(ropeTheta),
      "rope_scaling": try Self.huggingFace(ropeScaling),
      "use_sliding_window": false, "attention_dropout": 0.0, "initializer_range": 0.02,
      "tie_word_embeddings": .bool(tiesEmbeddings), "torch_dtype": "float32", "use_cache": true,
      "bos_token_id": .integer(Int64(beginning ?? endOfText)), "eos_token_id": .integer(Int64(endOfText)),
      "pad_token_id": .integer(Int64(padding)),
    ]
    if !attentionBias {
      object["use_sliding_window"] = nil
      object["attention_bias"] = false
      object["mlp_bias"] = false
    }
    return .object(object)
  }

  private static func huggingFace(_ scaling: RopeScaling?) throws(ModelFileError) -> JSON {
    switch scaling {
    case nil: return nil
    case .llama3(let factor, let low, let high, let original):
      return [
        "rope_type": "llama3", "factor": .number(factor), "low_freq_factor": .number(low),
        "high_freq_factor": .number(high), "original_max_position_embeddings": .integer(Int64(original)),
      ]
    case .divisors:
      throw ModelFileError(
        .unsupported, context: "config.json, rope_scaling", expected: "the constants of Llama 3's scaling",
        found: "divisors from a GGUF file", advice: "start from the model's Hugging Face folder")
    }
  }
}

/// Reads typed values out of a `config.json`.
private struct ConfigurationReader {
  let json: JSON
  let context: String

  func requireSupported() throws(ModelFileError) {
    guard json.objectValue != nil else { throw malformed("the file", "a JSON object", json.typeName) }
    let type = json["model_type"]?.stringValue ?? "none"
    try require(type == "qwen2" || type == "llama", "model_type", "\"qwen2\" or \"llama\"", type)
    let activation = json["hidden_act"]?.stringValue ?? "silu"
    try require(activation == "silu", "hidden_act", "\"silu\"", activation)
    try require(json["use_sliding_window"]?.boolValue != true, "use_sliding_window", "false", "true")
    for key in ["attention_bias", "mlp_bias"] {
      // Qwen2's biases are fixed; the key says nothing there.
      try require(isQwen2 || json[key]?.boolValue != true, key, "false", "true")
    }
  }

  var isQwen2: Bool { json["model_type"]?.stringValue == "qwen2" }

  private func require(_ holds: Bool, _ key: String, _ expected: String, _ found: String) throws(ModelFileError) {
    guard holds else {
      throw ModelFileError(
        .unsupported, context: "\(context), \(key)", expected: expected, found: String(found.prefix(80)),
        advice: "use a model of the Qwen2 or Llama family without this feature")
    }
  }

  /// Heads as wide as the residual stream together; others are a feature of newer models.
  func requireHeads(across hidden: Int, count: Int) throws(ModelFileError) {
    guard let size = try optionalInteger("head_dim"), count > 0 else { return }
    try require(
      size.multipliedReportingOverflow(by: count) == (hidden, false), "head_dim",
      "hidden_size / num_attention_heads = \(hidden) / \(count)", "\(size)")
  }

  /// An error of a size, under the name that the file has for it.
  func named(_ error: ModelFileError) -> ModelFileError {
    let keys = [
      "vocabularySize": "vocab_size", "hiddenSize": "hidden_size", "layerCount": "num_hidden_layers",
      "headCount": "num_attention_heads", "keyValueHeadCount": "num_key_value_heads", "headSize": "head_dim",
      "feedForwardSize": "intermediate_size", "maximumPositions": "max_position_embeddings", "ropeTheta": "rope_theta",
      "ropeScaling": "rope_scaling", "normEpsilon": "rms_norm_eps",
    ]
    let expected = keys.reduce(error.expected) { $0.replacing($1.key, with: $1.value) }
    return ModelFileError(
      error.code, context: "\(context), \(keys[error.context] ?? error.context)", expected: expected,
      found: error.found,
      advice: error.advice)
  }

  func malformed(_ key: String, _ expected: String, _ found: String) -> ModelFileError {
    ModelFileError(
      .malformed, context: "\(context), \(key)", expected: expected, found: String(found.prefix(80)),
      advice: "fetch or write the file again")
  }

  func integer(_ key: String, default fallback: Int? = nil) throws(ModelFileError) -> Int {
    if let value = try optionalInteger(key) ?? fallback { return value }
    throw malformed(key, "an integer", "none")
  }

  func optionalInteger(_ key: String) throws(ModelFileError) -> Int? {
    guard let value = json[key], !value.isNull else { return nil }
    guard let number = value.integerValue.flatMap({ Int(exactly: $0) }) else {
      throw malformed(key, "an integer", value.text)
    }
    return number
  }

  func number(_ key: String) throws(ModelFileError) -> Double? {
    guard let value = json[key], !value.isNull else { return nil }
    guard let number = value.doubleValue else { throw malformed(key, "a number", value.text) }
    return number
  }

  /// `rope_theta`, where transformers 4 writes it, or within `rope_parameters`, where transformers 5 does.
  func ropeTheta() throws(ModelFileError) -> Double {
    if let theta = try number("rope_theta") { return theta }
    return json["rope_parameters"]?["rope_theta"]?.doubleValue ?? 10_000
  }

  /// `rope_scaling`, or what `rope_parameters` say of it; nil where there is none.
  func ropeScaling() throws(ModelFileError) -> RopeScaling? {
    for key in ["rope_scaling", "rope_parameters"] {
      guard let scaling = json[key], !scaling.isNull else { continue }
      let kind = scaling["rope_type"]?.stringValue ?? scaling["type"]?.stringValue ?? "default"
      if kind == "default" { continue }
      try require(kind == "llama3" && !isQwen2, key, isQwen2 ? "no rotary scaling" : "\"llama3\" or none", kind)
      let reader = ConfigurationReader(json: scaling, context: "\(context), \(key)")
      func need(_ name: String) throws(ModelFileError) -> Double {
        if let value = try reader.number(name) { return value }
        throw reader.malformed(name, "a number", "none")
      }
      return .llama3(
        factor: try need("factor"), lowFrequencyFactor: try need("low_freq_factor"),
        highFrequencyFactor: try need("high_freq_factor"),
        originalPositions: try reader.integer("original_max_position_embeddings"))
    }
    return nil
  }
}
