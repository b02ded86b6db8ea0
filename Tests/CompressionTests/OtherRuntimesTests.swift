import Compression
import Foundation
import Inference
import ModelFiles
import PythonPeers
import StudentModel
import Testing
import Tokenization
import Topics
import Training

/// What other programs make of a student pruned along every axis; skipped where they are not installed.
@Suite("Pruned files in other runtimes", .serialized) struct OtherRuntimesTests {
  /// A file pruned along every axis, the ids of a prompt, and the logits that this project computes after each.
  private func compressed(in folder: String) throws -> (tokens: [Int32], logits: [[Float]]) {
    // Words that no request uses, so that there are tokens to drop.
    let others = (0..<30).map { "wander through gallop meadows, linger beneath forgotten orchards \($0 % 6)" }
    let tokenizer = try Tokenizer.train(
      Fixture.samples(40).flatMap { $0.messages.map(\.content) } + others, vocabularySize: 448, spaceFused: 8,
      structure: CallCodec.structureTokens(for: Fixture.functions()))
    let student = try Student(
      configuration: DecoderConfiguration(
        vocabularySize: tokenizer.vocabularySize, hiddenSize: 64, layerCount: 3, headCount: 4, keyValueHeadCount: 2,
        feedForwardSize: 96, maximumPositions: 128),
      seed: 3)
    var policy = CompressionPolicy()
    policy.prune = try PruningPlan("ffn=64,layers=2,hidden=32,vocabulary=used")
    policy.recoverySteps = 5
    let report = try Compressor.compress(
      parent: student, tokenizer: tokenizer, functions: Fixture.functions(), recentSamples: Fixture.samples(9),
      trainingSamples: Fixture.samples(9), policy: policy, output: "\(folder)/model.gguf")
    let sizes = report.configuration
    #expect(sizes.hiddenSize == 32 && sizes.headCount == 2 && sizes.layerCount == 2 && sizes.feedForwardSize == 64)
    #expect(sizes.vocabularySize < tokenizer.vocabularySize)
    let model = try ServingModel(gguf: "\(folder)/model.gguf")
    #expect(model.tokenizer.digest == report.tokenizerDigest && report.tokenizerDigest != tokenizer.digest)
    let tokens = model.codec.prompt([.user("set the attic light to 3")])
    return (tokens, try model.logits(tokens: tokens))
  }

  /// A file in Q4_K, Q6_K and Q8_0 (feed-forward rows are no whole blocks of 256), compensated.
  private func superBlocks(in folder: String) throws -> (tokens: [Int32], logits: [[Float]]) {
    let tokenizer = try Fixture.tokenizer()
    let student = try Student(
      configuration: DecoderConfiguration(
        vocabularySize: tokenizer.vocabularySize, hiddenSize: 256, layerCount: 2, headCount: 8, keyValueHeadCount: 2,
        feedForwardSize: 96, maximumPositions: 128),
      seed: 3)
    var policy = CompressionPolicy()
    policy.prune = PruningPlan()
    policy.quantize = .uniform(.q4k)
    policy.calibrate = .gptq
    let report = try Compressor.compress(
      parent: student, tokenizer: tokenizer, functions: Fixture.functions(), recentSamples: Fixture.samples(9),
      trainingSamples: Fixture.samples(9), policy: policy, output: "\(folder)/model.gguf")
    #expect(Set(report.tensors.map(\.type)) == [.q4_k, .q6_k, .q8_0, .f32])
    #expect(
      report.tensors.filter { $0.type == .q4_k }.allSatisfy { ($0.outputError ?? 1) < 0.1 })
    let model = try ServingModel(gguf: "\(folder)/model.gguf")
    let tokens = model.codec.prompt([.user("set the attic light to 3")])
    return (tokens, try model.logits(tokens: tokens))
  }

  private func compare(_ output: String, _ logits: [[Float]], within tolerance: Float = 0.03) {
    let rows = output.split(separator: "\n").map { $0.split(separator: " ").compactMap { Float($0) } }
    #expect(rows.count == logits.count)
    for (found, expected) in zip(rows, logits) {
      let scale = expected.map(abs).max() ?? 1
      #expect(found.count == expected.count)
      #expect((zip(found, expected).map { abs($0 - $1) }.max() ?? 9) < tolerance * scale)
    }
  }

  @Test(
    "transformers computes the same logits from a folder with the same weights",
    .enabled(if: Python.has("transformers", "torch"), "PyPI's transformers or torch is not installed"),
    arguments: [false, true])
  func transformers(throughCompressor: Bool) throws {
    try Fixture.withFolder { folder in
      let (tokens, logits) = try compressed(in: folder)
      let model = try UncompressedModel(path: "\(folder)/model.gguf")
      if throughCompressor {
        var policy = CompressionPolicy()
        policy.prune = PruningPlan()
        policy.quantize = .uniform(.f32)
        _ = try Compressor.compress(model, policy: policy, output: "\(folder)/hf")
      } else {
        try StudentFile.writeFolder(
          model.student, tokenizer: model.tokenizer, functions: Fixture.functions(), to: "\(folder)/hf")
      }
      let program = """
        import sys, torch
        from transformers import AutoModelForCausalLM
        m = AutoModelForCausalLM.from_pretrained(sys.argv[1])
        for row in m(torch.tensor([[int(i) for i in sys.argv[2:]]])).logits[0].tolist(): print(*row)
        """
      compare(try Python.run(program, ["\(folder)/hf"] + tokens.map(String.init)).output, logits)
    }
  }

  @Test(
    "llama.cpp computes the same logits from the file, pruned or in K-quants",
    .enabled(if: Python.has("llama_cpp"), "PyPI's llama-cpp-python is not installed"), arguments: [false, true])
  func llama(_ kQuants: Bool) throws {
    try Fixture.withFolder { folder in
      let (tokens, logits) = kQuants ? try superBlocks(in: folder) : try compressed(in: folder)
      let program = """
        import sys
        from llama_cpp import Llama
        m = Llama(sys.argv[1] + "/model.gguf", n_ctx=64, n_threads=1, logits_all=True, verbose=False)
        ids = [int(i) for i in sys.argv[2:]]
        m.eval(ids)
        for row in m.scores[:len(ids)].tolist(): print(*row)
        """
      // With K-quants llama.cpp rounds activations 256 at a time, not 32.
      compare(
        try Python.run(program, [folder] + tokens.map(String.init)).output, logits, within: kQuants ? 0.05 : 0.03)
    }
  }
}
