import Compression
import ModelFiles
import StudentModel
import Testing
import Training

@Suite("Pruning") struct PrunerTests {
  private func logits(_ student: Student) throws -> [Float] {
    try student.forward(
      PackedBatch(tokens: [1, 5, 9, 40], sequenceStarts: [0, 4], targets: [5, 9, 40, 2], weights: [1, 1, 1, 1]))
  }

  @Test("Neurons that do nothing can go without changing one answer")
  func silentNeurons() throws {
    let tokenizer = try Fixture.tokenizer()
    let student = try Fixture.student(tokenizer)
    // Every second neuron of layer 0 and the last half of layer 1 write nothing.
    for layer in 0..<2 {
      let entry = try #require(student.layout["model.layers.\(layer).mlp.down_proj.weight"])
      let down = student.parameters(entry)
      for row in 0..<32 {
        for neuron in 0..<128 where layer == 0 ? neuron % 2 == 1 : neuron >= 64 { down[row * 128 + neuron] = 0 }
      }
    }
    withExtendedLifetime(student) {}
    let pruned = try Pruner.pruneFeedForward(student, keep: 64)
    #expect(pruned.configuration.feedForwardSize == 64)
    #expect(pruned.layout.count == student.layout.count - 2 * 3 * 32 * 64)
    for (a, b) in zip(try logits(student), try logits(pruned)) { #expect(abs(a - b) < 1e-5) }
  }

  @Test("The neurons with the largest weighted activation stay, in their order")
  func importance() throws {
    let student = try Fixture.student(try Fixture.tokenizer())
    var activations = [[Float]](repeating: [Float](repeating: 0.001, count: 128), count: 2)
    let wanted = (0..<32).map { $0 * 4 + 1 }
    for neuron in wanted { activations[1][neuron] = 100 }
    let pruned = try Pruner.pruneFeedForward(student, keep: 32, activations: activations)
    let name = "model.layers.1.mlp.gate_proj.weight"
    let old = Array(student.parameters(try #require(student.layout[name])))
    let new = Array(pruned.parameters(try #require(pruned.layout[name])))
    withExtendedLifetime((student, pruned)) {}
    for (index, neuron) in wanted.enumerated() {
      #expect(Array(new[index * 32..<(index + 1) * 32]) == Array(old[neuron * 32..<(neuron + 1) * 32]))
    }
  }

  @Test("Widths that are no multiple of 32 or too large, and foreign activations are refused")
  func refusals() throws {
    let student = try Fixture.student(try Fixture.tokenizer())
    for keep in [0, 33, 160, -32] {
      #expect(throws: CompressionError.self) { try Pruner.pruneFeedForward(student, keep: keep) }
    }
    #expect(throws: CompressionError.self) {
      try Pruner.pruneFeedForward(student, keep: 64, activations: [[1, 2, 3]])
    }
    let whole = try Pruner.pruneFeedForward(student, keep: 128)
    #expect(Trainer.weightsDigest(of: whole) == Trainer.weightsDigest(of: student))
  }

  @Test("A share is rounded to a multiple of 32 neurons")
  func shares() {
    var policy = CompressionPolicy()
    #expect(policy.keptNeurons(of: 512) == 480)
    #expect(policy.keptNeurons(of: 4_864) == 4_576)
    policy.feedForwardKeep = 1
    #expect(policy.keptNeurons(of: 500) == 500)
    policy.feedForwardKeep = 0.01
    #expect(policy.keptNeurons(of: 512) == 32)
  }
}
