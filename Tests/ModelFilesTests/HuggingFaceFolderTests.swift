import Foundation
import ModelFiles
import PythonPeers
import Testing
import Topics

@Suite("Hugging Face folders")
struct HuggingFaceFolderTests {
  private static let tokenizer = HuggingFaceFolder.TokenizerFiles(
    json: Array("{}".utf8), chatTemplate: "{{ messages }}", endOfText: (63, "<|endoftext|>"))

  private func write(_ path: String) throws -> WrittenFile {
    let all = parameters(tinyConfiguration)
    let memory = UnsafeMutableBufferPointer<Float>.allocate(capacity: tinyConfiguration.parameterCount)
    defer { memory.deallocate() }
    _ = memory.initialize(from: all.flatMap(\.values))
    var offset = 0
    var list: [(name: String, shape: [Int], values: UnsafeBufferPointer<Float>)] = []
    for (name, shape, values) in all {
      let part = UnsafeBufferPointer(rebasing: UnsafeBufferPointer(memory)[offset..<(offset + values.count)])
      list.append((name, shape, part))
      offset += values.count
    }
    return try HuggingFaceFolder.write(
      path, configuration: tinyConfiguration, parameters: list, tokenizer: Self.tokenizer)
  }

  /// All parameters of a folder, one after the other in canonical order.
  private func values(_ folder: HuggingFaceFolder) throws -> [Float] {
    try folder.configuration.parameters.flatMap { try folder.tensor($0.name).floats() }
  }

  @Test("a folder comes back as it was written, and the same model gives the same bytes")
  func roundTrip() throws {
    try withFolder { folder in
      let first = try write("\(folder)/model")
      #expect(try write("\(folder)/again").digest == first.digest)
      let read = try HuggingFaceFolder.read("\(folder)/model")
      #expect(read.configuration == tinyConfiguration)
      #expect(read.endOfTextIDs == [63])
      #expect(read.tokenizerJSON == Array("{}".utf8))
      #expect(read.chatTemplate == "{{ messages }}")
      #expect(try values(read) == parameters(tinyConfiguration).flatMap(\.values))
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["again", "model"])
    }
  }

  @Test("a tied model with a head of its own is refused; one that has its embedding twice is not")
  func headBesideTies() throws {
    try withFolder { folder in
      var untied = tinyConfiguration
      untied.tiesEmbeddings = false
      for (name, isTwice) in [("own", false), ("twice", true)] {
        let path = "\(folder)/\(name)"
        var all = parameters(untied)
        if isTwice {
          let embedding = try #require(all.first { $0.name == "model.embed_tokens.weight" }).values
          all = all.map { $0.name == "lm_head.weight" ? ($0.name, $0.shape, embedding) : $0 }
        }
        let memory = UnsafeMutableBufferPointer<Float>.allocate(capacity: all.reduce(0) { $0 + $1.values.count })
        defer { memory.deallocate() }
        _ = memory.initialize(from: all.flatMap(\.values))
        var offset = 0
        let list = all.map { entry in
          defer { offset += entry.values.count }
          return (
            name: entry.name, shape: entry.shape,
            values: UnsafeBufferPointer(rebasing: UnsafeBufferPointer(memory)[offset..<(offset + entry.values.count)])
          )
        }
        try HuggingFaceFolder.write(path, configuration: untied, parameters: list, tokenizer: Self.tokenizer)
        let file = "\(path)/config.json"
        let text = try String(contentsOfFile: file, encoding: .utf8)
        let tied = text.replacing("\"tie_word_embeddings\":false", with: "\"tie_word_embeddings\":true")
          .replacing("\"tie_word_embeddings\": false", with: "\"tie_word_embeddings\": true")
        try #require(tied != text)
        try tied.write(toFile: file, atomically: true, encoding: .utf8)
        if isTwice {
          #expect(try HuggingFaceFolder.read(path).configuration.tiesEmbeddings)
        } else {
          #expect { try HuggingFaceFolder.read(path) } throws: { error in
            (error as? ModelFileError)?.code == .malformed && "\(error)".contains("lm_head.weight")
          }
        }
      }
    }
  }

  @Test("what is there is never replaced")
  func existing() throws {
    try withFolder { folder in
      _ = try write("\(folder)/model")
      #expect { try write("\(folder)/model") } throws: { ($0 as? ModelFileError)?.code == .invalidArgument }
      #expect(try HuggingFaceFolder.read("\(folder)/model").configuration == tinyConfiguration)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["model"])
    }
  }

  @Test("missing and damaged files are named")
  func damagedFiles() throws {
    try withFolder { folder in
      #expect { try HuggingFaceFolder.read(folder) } throws: { ($0 as? ModelFileError)?.code == .notFound }
      _ = try write("\(folder)/model")
      let config = URL(fileURLWithPath: "\(folder)/model/config.json")
      let text = try String(contentsOf: config, encoding: .utf8)
      try Data(text.replacing("\"vocab_size\":64", with: "\"vocab_size\":96").utf8).write(to: config)
      #expect { try HuggingFaceFolder.read("\(folder)/model") } throws: {
        ($0 as? ModelFileError)?.code == .shapeMismatch
      }
      try Data("{".utf8).write(to: config)
      #expect { try HuggingFaceFolder.read("\(folder)/model") } throws: { ($0 as? ModelFileError)?.code == .malformed }
      try Data(text.utf8).write(to: config)
      try FileManager.default.removeItem(atPath: "\(folder)/model/model.safetensors")
      #expect { try HuggingFaceFolder.read("\(folder)/model") } throws: { ($0 as? ModelFileError)?.code == .notFound }
      let index: JSON = ["weight_map": ["model.embed_tokens.weight": "../model.safetensors"]]
      try Data(index.bytes).write(to: URL(fileURLWithPath: "\(folder)/model/model.safetensors.index.json"))
      #expect { try HuggingFaceFolder.read("\(folder)/model") } throws: { ($0 as? ModelFileError)?.code == .malformed }
    }
  }

  @Test("weights in several files with an index are read")
  func shards() throws {
    try withFolder { folder in
      _ = try write("\(folder)/model")
      let whole = try SafetensorsFile(path: "\(folder)/model/model.safetensors")
      var (first, second) = (SafetensorsWriter(), SafetensorsWriter())
      var map = JSONObject()
      for (position, tensor) in whole.tensors.enumerated() {
        if position % 2 == 0 {
          try first.add(tensor.name, type: tensor.type, shape: tensor.shape, tensor.bytes)
        } else {
          try second.add(tensor.name, type: tensor.type, shape: tensor.shape, tensor.bytes)
        }
        map[tensor.name] = .string(position % 2 == 0 ? "model-1.safetensors" : "model-2.safetensors")
      }
      _ = try first.write(to: "\(folder)/model/model-1.safetensors")
      _ = try second.write(to: "\(folder)/model/model-2.safetensors")
      let index: JSON = ["weight_map": .object(map)]
      try Data(index.bytes).write(to: URL(fileURLWithPath: "\(folder)/model/model.safetensors.index.json"))
      try FileManager.default.removeItem(atPath: "\(folder)/model/model.safetensors")
      let read = try HuggingFaceFolder.read("\(folder)/model")
      #expect(try values(read) == parameters(tinyConfiguration).flatMap(\.values))
    }
  }

  @Test(
    "transformers loads the folder with the same weights",
    .enabled(if: Python.has("transformers", "torch"), "transformers or torch is not installed"))
  func transformers() throws {
    try withFolder { folder in
      _ = try write("\(folder)/model")
      let program = """
        import sys, torch
        from transformers import AutoModelForCausalLM
        m, info = AutoModelForCausalLM.from_pretrained(sys.argv[1], output_loading_info=True)
        c = m.config
        theta = getattr(c, "rope_theta", None) or c.rope_parameters["rope_theta"]
        print(type(m).__name__, c.num_key_value_heads, float(theta), c.rms_norm_eps, c.tie_word_embeddings, m.dtype, end=" ")
        print(len(info["missing_keys"]), len(info["unexpected_keys"]), m.generation_config.eos_token_id, end=" ")
        print(f"{m.model.layers[1].mlp.down_proj.weight[3, 5].item():.7f}")
        """
      let result = try Python.run(program, ["\(folder)/model"])
      let read = try HuggingFaceFolder.read("\(folder)/model")
      let value = try read.tensor("model.layers.1.mlp.down_proj.weight").floats()[3 * 64 + 5]
      #expect(
        result.output
          == "Qwen2ForCausalLM 2 10000.0 1e-06 True torch.float32 0 0 63 \(String(format: "%.7f", value))\n")
    }
  }
}
