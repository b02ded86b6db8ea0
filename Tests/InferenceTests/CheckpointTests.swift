import Foundation
import Inference
import ModelFiles
import Testing
import Topics

@Suite("Hugging Face checkpoints")
struct CheckpointTests {
  private static let goldens = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Goldens")

  @Test(
    "Logits are those of transformers: shards, bfloat16, tied; half precision, untied, Llama 3's rotary scaling",
    arguments: ["qwen2", "llama3"])
  func logits(_ name: String) throws {
    let model = try DecoderModel(folder: Self.goldens.appending(path: name).path)
    let expected = try Data(contentsOf: Self.goldens.appending(path: "\(name).logits")).withUnsafeBytes {
      Array($0.bindMemory(to: Float.self))
    }
    let tokens = (0..<40).map { Int32((7 * $0 + 3) % 96) }
    let found = try model.logits(tokens: tokens).flatMap { $0 }
    #expect(found.count == expected.count)
    let worst = zip(found, expected).map { abs($0 - $1) }.max() ?? .infinity
    #expect(worst < 1e-4 * (expected.map(abs).max() ?? 0), "\(worst)")
    #expect(model.configuration.attentionBias == (name == "qwen2"))
    #expect(model.tokenizer == nil)
  }

  @Test(
    "What is not supported is refused by name",
    arguments: [
      ("qwen2", "model_type", JSON.string("gemma")), ("llama3", "attention_bias", true), ("llama3", "mlp_bias", true),
      ("qwen2", "hidden_act", "gelu"), ("qwen2", "use_sliding_window", true),
      ("qwen2", "rope_scaling", ["rope_type": "yarn", "factor": 4.0]),
      ("llama3", "rope_scaling", ["rope_type": "dynamic", "factor": 4.0]),
      ("llama3", "rope_scaling", ["rope_type": "llama3", "factor": 4.0]),
      ("llama3", "head_dim", 32),
    ] as [(String, String, JSON)])
  func refusals(_ name: String, _ key: String, _ value: JSON) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "checkpoint-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.copyItem(at: Self.goldens.appending(path: name), to: folder)
    let path = folder.appending(path: "config.json")
    var json = try #require(try JSON.parse([UInt8](Data(contentsOf: path))).objectValue)
    json[key] = value
    try Data(JSON.object(json).bytes).write(to: path)
    let error = #expect(throws: InferenceError.self) { try DecoderModel(folder: folder.path) }
    #expect(error?.description.contains(key) == true, "\(error?.description ?? "")")
  }

  @Test("Truncated shards and missing ones are named")
  func damaged() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "checkpoint-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.copyItem(at: Self.goldens.appending(path: "qwen2"), to: folder)
    let shard = folder.appending(path: "model-00002-of-00003.safetensors")
    let bytes = try Data(contentsOf: shard)
    try bytes.prefix(bytes.count - 100).write(to: shard)
    let truncated = #expect(throws: InferenceError.self) { try DecoderModel(folder: folder.path) }
    #expect(truncated?.description.contains("model-00002") == true)
    try FileManager.default.removeItem(at: shard)
    let missing = #expect(throws: InferenceError.self) { try DecoderModel(folder: folder.path) }
    #expect(missing?.code == .unreadable)
  }

  @Test("A damaged folder gives an error or logits, never a crash", arguments: ["qwen2", "llama3"])
  func fuzz(_ name: String) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "checkpoint-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.copyItem(at: Self.goldens.appending(path: name), to: folder)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    var random = RandomSource(11)
    var errors = 0
    for round in 0..<150 {
      let path = folder.appending(path: names[round % names.count])
      let original = try Data(contentsOf: path)
      var bytes = [UInt8](original)
      if round % 5 == 0 {
        bytes.removeLast(Int.random(in: 1..<bytes.count, using: &random))
      } else {
        // Of the weights mostly the header, where it hurts.
        for _ in 0..<(round % 3 + 1) {
          let position = Int.random(in: 0..<min(bytes.count, 2_500), using: &random)
          bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        }
      }
      try Data(bytes).write(to: path)
      do throws(InferenceError) {
        let rows = try DecoderModel(folder: folder.path).logits(tokens: [1, 2, 3])
        #expect(rows.count == 3)
      } catch {
        errors += 1
        #expect(!error.description.isEmpty)
      }
      try original.write(to: path)
    }
    #expect(errors > 40)
  }
}
