import ModelFiles
import Testing
import Topics

@Suite("Decoder configuration")
struct DecoderConfigurationTests {
  @Test("the canonical parameters have Hugging Face's names, shapes and order")
  func parameters() {
    var configuration = tinyConfiguration
    configuration.layerCount = 1
    let names = configuration.parameters.map(\.name)
    #expect(names.count == 14)
    #expect(names.first == "model.embed_tokens.weight" && names.last == "model.norm.weight")
    #expect(
      names[1...3] == [
        "model.layers.0.input_layernorm.weight", "model.layers.0.self_attn.q_proj.weight",
        "model.layers.0.self_attn.q_proj.bias",
      ])
    #expect(configuration.parameters[4].shape == [16, 32])
    #expect(configuration.parameters[12].shape == [32, 64])
    configuration.tiesEmbeddings = false
    #expect(configuration.parameters.last?.name == "lm_head.weight")
    #expect(names.allSatisfy { GGUFNames.gguf($0) != nil })
    #expect(GGUFNames.gguf("model.layers.x.mlp.up_proj.weight") == nil)
  }

  @Test("config.json comes back as the same configuration")
  func roundTrip() throws {
    let json = try tinyConfiguration.huggingFace(endOfText: 1, padding: 1)
    #expect(try DecoderConfiguration(huggingFace: json) == tinyConfiguration)
  }

  @Test("rope_theta is also found where transformers 5 writes it")
  func ropeParameters() throws {
    var object = try #require(try tinyConfiguration.huggingFace(endOfText: 1, padding: 1).objectValue)
    object["rope_theta"] = nil
    object["rope_parameters"] = ["rope_theta": 1_000_000.0, "rope_type": "default"]
    #expect(try DecoderConfiguration(huggingFace: .object(object)).ropeTheta == 1_000_000)
  }

  @Test(
    "values out of range and features that are not there are refused",
    arguments: [
      ("hidden_size", "0"), ("hidden_size", "33"), ("hidden_size", "1e300"), ("hidden_size", "\"32\""),
      ("num_attention_heads", "0"), ("num_attention_heads", "-4"), ("num_key_value_heads", "3"),
      ("num_hidden_layers", "1000000000000"), ("vocab_size", "9223372036854775807"), ("intermediate_size", "null"),
      ("rms_norm_eps", "0"), ("rms_norm_eps", "-1"), ("rope_theta", "0"), ("rope_theta", "1e308"),
      ("hidden_act", "\"gelu\""),
      ("model_type", "\"gpt2\""), ("use_sliding_window", "true"), ("rope_scaling", "{\"rope_type\":\"yarn\"}"),
      ("head_dim", "6"), ("max_position_embeddings", "0"),
    ])
  func refuses(_ key: String, _ value: String) throws {
    var object = try #require(try tinyConfiguration.huggingFace(endOfText: 1, padding: 1).objectValue)
    object[key] = try JSON.parse(value)
    #expect(throws: ModelFileError.self) { try DecoderConfiguration(huggingFace: .object(object)) }
  }

  @Test("constants that are no numbers are refused", arguments: [Double.nan, .infinity, -.infinity, 0, -1])
  func refusesConstants(_ value: Double) {
    var configuration = tinyConfiguration
    configuration.ropeTheta = value
    #expect(throws: ModelFileError.self) { try configuration.validate() }
    configuration = tinyConfiguration
    configuration.normEpsilon = value
    #expect(throws: ModelFileError.self) { try configuration.validate() }
  }
}
