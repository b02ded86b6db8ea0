import Compression
import Foundation
import Inference
import ModelFiles
import StudentModel
import Testing
import Tokenization
import Topics
import Training

@Suite("Compression", .serialized) struct CompressorTests {
  @Test("One file comes out, with the grammar beside it, and the same inputs give the same bytes")
  func deterministic() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let parent = try Fixture.student(tokenizer)
      let before = Trainer.weightsDigest(of: parent)
      func compress(_ name: String, _ policy: CompressionPolicy) throws -> CompressionReport {
        try Compressor.compress(
          parent: parent, tokenizer: tokenizer, functions: try Fixture.functions(),
          recentSamples: Fixture.samples(20), trainingSamples: Fixture.samples(45), policy: policy,
          output: "\(folder)/\(name).gguf")
      }
      let one = try compress("one", Fixture.policy())
      let two = try compress("two", Fixture.policy())
      let other = try compress("three", Fixture.policy { $0.seed = 1 })
      #expect(one.model.digest == two.model.digest)
      #expect(one.model.digest != other.model.digest)
      #expect(one.grammar?.digest == two.grammar?.digest)
      #expect(Trainer.weightsDigest(of: parent) == before)
      #expect(one.before.feedForwardSize == 128 && one.configuration.feedForwardSize == 64)
      #expect(one.parametersAfter < one.parametersBefore)
      #expect(one.recovery?.steps == 20)
      let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
      #expect(names.prefix(2) == ["one.gbnf", "one.gguf"])
      let data = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/one.gguf"))
      #expect(Digest.sha256([UInt8](data)) == one.model.digest)
      #expect(data.count == one.model.bytes)
    }
  }

  @Test("The file is served, and answers as the unquantized student does")
  func served() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let parent = try Fixture.student(tokenizer)
      try Fixture.train(parent, tokenizer, steps: 250)
      let functions = try Fixture.functions()
      let report = try Compressor.compress(
        parent: parent, tokenizer: tokenizer, functions: functions, recentSamples: Fixture.samples(20),
        trainingSamples: Fixture.samples(45), policy: Fixture.policy { $0.recoverySteps = 60 },
        output: "\(folder)/m.gguf")
      let released = try ServingModel(gguf: "\(folder)/m.gguf")
      #expect(released.functions.digest == functions.digest)
      #expect(released.tokenizer.digest == tokenizer.digest)
      #expect(released.configuration == report.configuration)
      let original = try ServingModel(student: parent, tokenizer: tokenizer, functions: functions)
      let requests = Fixture.samples(20).map(\.messages)
      let expected = try Decoder(model: original, maximumBatch: 8).answer(requests).map(\.call)
      let found = try Decoder(model: released, maximumBatch: 8).answer(requests).map(\.call)
      #expect(expected == Fixture.samples(20).map { Optional($0.call) })
      #expect(zip(expected, found).count { $0 == $1 } >= 18)
      #expect((report.recovery?.finalLoss ?? 9) < (report.recovery?.firstLoss ?? 0))
    }
  }

  @Test("The error of each tensor is reported, and is as small as its type promises")
  func errors() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let student = try Fixture.student(tokenizer)
      func worst(_ type: QuantizationPlan.WeightType) throws -> Double {
        let report = try Compressor.compress(
          parent: student, tokenizer: tokenizer, functions: nil,
          policy: Fixture.policy {
            $0.prune = PruningPlan(); $0.quantize = .uniform(type)
          }, output: "\(folder)/\(type).gguf")
        #expect(report.tensors.count == student.layout.entries.count)
        #expect(report.tensors.filter { $0.type == .f32 }.allSatisfy { $0.relativeRMS == 0 && $0.maximum == 0 })
        #expect(report.grammar == nil)
        return report.worstRelativeRMS
      }
      let (q8, f16, f32) = (try worst(.q8), try worst(.f16), try worst(.f32))
      #expect(q8 > 1e-3 && q8 < 1e-2)
      #expect(f16 > 1e-5 && f16 < 1e-3)
      #expect(f32 == 0)
      let (q4, bf16) = (try worst(.q4), try worst(.bf16))
      #expect(q4 > 2e-2 && q4 < 0.15)
      #expect(bf16 > 1e-4 && bf16 < 1e-2)
      #expect(try GGUFFile(path: "\(folder)/q4.gguf").tensor("blk.0.ffn_up.weight").type == .q4_0)
      // Rows shorter than 256 cannot be Q6_K.
      _ = try worst(.q6)
      #expect(try GGUFFile(path: "\(folder)/q6.gguf").tensor("blk.0.ffn_up.weight").type == .q8_0)
      let file = try GGUFFile(path: "\(folder)/q8.gguf")
      #expect(try file.decoderConfiguration() == student.configuration)
      #expect(try file.tensor("token_embd.weight").type == .q8_0)
      #expect(try file.tensor("blk.0.attn_norm.weight").type == .f32)
    }
  }

  @Test(
    "Recovery brings the pruned student back along every axis",
    arguments: ["ffn=64", "layers=2", "hidden=32", "kv=1", "parameters=-20%,vocabulary=used"])
  func axes(_ plan: String) throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let parent = try Student(
        configuration: DecoderConfiguration(
          vocabularySize: tokenizer.vocabularySize, hiddenSize: 64, layerCount: 3, headCount: 4, keyValueHeadCount: 2,
          feedForwardSize: 128, maximumPositions: 128),
        seed: 3)
      try Fixture.train(parent, tokenizer, steps: 250)
      let report = try Compressor.compress(
        parent: parent, tokenizer: tokenizer, functions: try Fixture.functions(), recentSamples: Fixture.samples(20),
        trainingSamples: Fixture.samples(45),
        policy: try Fixture.policy {
          $0.prune = try PruningPlan(plan)
          $0.recoverySteps = 200
        }, output: "\(folder)/m.gguf")
      let recovery = try #require(report.recovery)
      #expect(report.parametersAfter < report.parametersBefore)
      if plan.contains("parameters") {
        #expect(Double(report.parametersAfter) <= 0.8 * Double(report.parametersBefore))
      }
      #expect(recovery.finalDivergence < 0.2 && (report.harm ?? -1) >= 0, "\(recovery), \(report.harm ?? -1)")
      let released = try ServingModel(gguf: "\(folder)/m.gguf")
      let found = try Decoder(model: released, maximumBatch: 8).answer(Fixture.samples(20).map(\.messages)).map(\.call)
      #expect(zip(found, Fixture.samples(20)).count { $0 == $1.call } >= 16)
    }
  }

  @Test("Unused tokens can go only where samples say which they are")
  func vocabularyNeedsSamples() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let error = #expect(throws: CompressionError.self) {
        try Compressor.compress(
          parent: try Fixture.student(tokenizer), tokenizer: tokenizer, functions: try Fixture.functions(),
          policy: Fixture.policy { $0.prune.dropsUnusedTokens = true }, output: "\(folder)/m.gguf")
      }
      #expect(error?.code == .mismatch)
    }
  }

  @Test("Policies are strict and survive a round trip")
  func policies() throws {
    let changed = Fixture.policy {
      $0.quantize = .uniform(.f16); $0.klWeight = 0.25
    }
    #expect(try CompressionPolicy(json: JSON.parse(changed.json.text)) == changed)
    #expect(changed.json.objectValue?.keys.sorted() == CompressionPolicy.keys.sorted())
    #expect(changed.digest != CompressionPolicy().digest)
    let bad: [JSON] = [
      ["keep": 1], ["prune": "ffn=0"], ["prune": "ffn"], ["calibrate": "gptp"], ["quantize": "bytes=much"],
      ["quantize": "q2"], ["recovery_steps": 1.5], ["recovery_steps": "many"], ["kl_weight": "much"], 7,
    ]
    for json in bad { #expect(throws: CompressionError.self) { try CompressionPolicy(json: json) } }
  }

  @Test("The grammar stands beside the model")
  func grammarPaths() {
    #expect(Compressor.grammarPath(beside: "/a/b.c/model.gguf") == "/a/b.c/model.gbnf")
    #expect(Compressor.grammarPath(beside: "model") == "model.gbnf")
    #expect(Compressor.grammarPath(beside: "/a.b/model") == "/a.b/model.gbnf")
  }
}
