import Compression
import ModelFiles
import StudentModel
import Testing
import Training

@Suite("Pruning") struct PrunerTests {
  private static let batch = PackedBatch(
    tokens: [1, 5, 9, 40, 7], sequenceStarts: [0, 4, 5], targets: [5, 9, 40, 2, 3], weights: [1, 1, 1, 1, 1])

  private func logits(_ student: Student) throws -> [Float] { try student.forward(Self.batch) }

  /// Three blocks, four groups of two query heads with 16 channels each, hidden width 128.
  private func student(tied: Bool = true) throws -> Student {
    try Student(
      configuration: DecoderConfiguration(
        vocabularySize: 97, hiddenSize: 128, layerCount: 3, headCount: 8, keyValueHeadCount: 4, feedForwardSize: 96,
        maximumPositions: 64, tiesEmbeddings: tied),
      seed: 5)
  }

  private func prune(_ student: Student, _ change: (inout PruningShape) -> Void) throws -> Student {
    var shape = PruningShape(student.configuration)
    change(&shape)
    return try Pruner.prune(student, to: shape, importance: Importance(weightsOf: student))
  }

  private func expectSame(_ a: Student, _ b: Student, within tolerance: Float = 1e-4) throws {
    for (a, b) in zip(try logits(a), try logits(b)) { #expect(abs(a - b) < tolerance) }
  }

  private func zero(_ student: Student, _ name: String, rows: [Int]? = nil, columns: [Int]? = nil) throws {
    let entry = try #require(student.layout[name])
    let (values, width) = (student.parameters(entry), entry.shape[1])
    for row in rows ?? Array(0..<entry.shape[0]) {
      for column in columns ?? Array(0..<width) { values[row * width + column] = 0 }
    }
  }

  @Test("Neurons that write nothing can go without changing one answer")
  func silentNeurons() throws {
    let student = try student()
    for layer in 0..<3 {
      let silent = (0..<96).filter { layer == 1 ? $0 >= 64 : $0 % 3 == layer }
      try zero(student, "model.layers.\(layer).mlp.down_proj.weight", columns: silent)
    }
    let pruned = try prune(student) { $0.feedForwardSize = 64 }
    #expect(pruned.layout.count == student.layout.count - 3 * 3 * 128 * 32)
    try expectSame(student, pruned)
  }

  @Test("A block that writes nothing can go without changing one answer")
  func silentBlock() throws {
    let student = try student()
    try zero(student, "model.layers.1.self_attn.o_proj.weight")
    try zero(student, "model.layers.1.mlp.down_proj.weight")
    let pruned = try prune(student) { $0.layerCount = 2 }
    #expect(pruned.configuration.layerCount == 2)
    try expectSame(student, pruned, within: 1e-6)
  }

  @Test(
    "Residual channels that are always zero go, with heads that write nothing, without changing one answer",
    arguments: [true, false])
  func silentChannels(tied: Bool) throws {
    let student = try student(tied: tied)
    // 64 channels are never written; in each group one query head's outputs are not read.
    let silent = (0..<128).filter { $0 % 2 == 1 }
    try zero(student, "model.embed_tokens.weight", columns: silent)
    for layer in 0..<3 {
      try zero(student, "model.layers.\(layer).self_attn.o_proj.weight", rows: silent)
      try zero(student, "model.layers.\(layer).mlp.down_proj.weight", rows: silent)
      let heads = [0, 3, 4, 7].flatMap { $0 * 16..<($0 + 1) * 16 }
      try zero(student, "model.layers.\(layer).self_attn.o_proj.weight", columns: heads)
    }
    let pruned = try prune(student) { $0.hiddenSize = 64 }
    #expect(pruned.configuration.headCount == 4 && pruned.configuration.keyValueHeadCount == 4)
    #expect(pruned.configuration.headSize == 16)
    // What remains is the constant within the norm's root, which is a part of a mean over fewer channels now.
    try expectSame(student, pruned, within: 1e-3)
  }

  @Test("A key and value group whose heads write nothing goes with its heads, without changing one answer")
  func silentGroup() throws {
    let student = try student()
    let silent = Array(0..<32)
    try zero(student, "model.embed_tokens.weight", columns: silent)
    for layer in 0..<3 {
      try zero(student, "model.layers.\(layer).self_attn.o_proj.weight", rows: silent)
      try zero(student, "model.layers.\(layer).mlp.down_proj.weight", rows: silent)
      try zero(
        student, "model.layers.\(layer).self_attn.o_proj.weight", columns: (layer * 32..<(layer + 1) * 32).map { $0 })
    }
    let plan = try PruningPlan("kv=3")
    let shape = try plan.shape(of: student.configuration)
    #expect(shape.hiddenSize == 96)
    let pruned = try Pruner.prune(student, to: shape, importance: Importance(weightsOf: student))
    #expect(pruned.configuration.headCount == 6 && pruned.configuration.keyValueHeadCount == 3)
    try expectSame(student, pruned, within: 1e-3)
  }

  @Test("Rows of the vocabulary stay as they are asked for")
  func vocabulary() throws {
    let student = try student(tied: false)
    var shape = PruningShape(student.configuration)
    let rows: [Int32] = Array(0..<41) + [96]
    shape.vocabularySize = rows.count
    let pruned = try Pruner.prune(student, to: shape, importance: Importance(weightsOf: student), rows: rows)
    let (before, after) = (try logits(student), try logits(pruned))
    for row in 0..<5 {
      for (new, old) in rows.enumerated() { #expect(after[row * 42 + new] == before[row * 97 + Int(old)]) }
    }
  }

  @Test("What matters on samples stays, in its order")
  func importance() throws {
    let student = try student()
    var importance = Importance(weightsOf: student)
    let wanted = (0..<32).map { $0 * 3 + 1 }
    for neuron in wanted { importance.neurons[1][neuron] = 1e6 }
    var shape = PruningShape(student.configuration)
    shape.feedForwardSize = 32
    let pruned = try Pruner.prune(student, to: shape, importance: importance)
    let name = "model.layers.1.mlp.gate_proj.weight"
    let old = Array(student.parameters(try #require(student.layout[name])))
    let new = Array(pruned.parameters(try #require(pruned.layout[name])))
    withExtendedLifetime((student, pruned)) {}
    for (index, neuron) in wanted.enumerated() {
      #expect(Array(new[index * 128..<(index + 1) * 128]) == Array(old[neuron * 128..<(neuron + 1) * 128]))
    }
  }

  @Test("Activations find the channels and neurons that weights alone would not")
  func activations() throws {
    let student = try student()
    // Neuron 7 of block 0 has small outgoing weights, but its gate and up make it large on every input.
    let statistics = try ActivationStatistics(of: student, on: [Self.batch])
    let importance = Importance(of: student, statistics: statistics)
    let hidden = statistics.meanAbsolute(LinearInput(.hidden, layer: 0))
    #expect(statistics.rows == 5 && hidden.count == 96 && hidden.allSatisfy { $0 > 0 })
    #expect(importance.neurons[0] != Importance(weightsOf: student).neurons[0])
    #expect(importance.channels.count == 128 && importance.heads.allSatisfy { $0.count == 8 })
    for shares in importance.energies { #expect(abs(shares.reduce(0, +) - 1) < 1e-9) }
  }

  @Test("What layers read is the same bits, however many tokens are held at once")
  func parts() throws {
    let student = try student()
    var batch = PackedBatch()
    for start in 0..<9 {
      let tokens = (0..<5 + start).map { Int32(start * 11 + $0 * 7) % 97 }
      batch.append(tokens: tokens, targets: tokens)
    }
    let whole = try ActivationStatistics(of: student, on: [batch])
    let gram = GramMatrices(of: student, on: [batch])
    for rows in [1, 20, 40] {
      let cut = try ActivationStatistics(of: student, on: [batch], rows: rows)
      let other = GramMatrices(of: student, on: [batch], rows: rows)
      #expect(cut.rows == batch.rowCount && whole.rows == cut.rows)
      for input in [LinearInput(.attention, layer: 0), LinearInput(.hidden, layer: 1), LinearInput(.heads, layer: 2)] {
        #expect(cut.meanAbsolute(input) == whole.meanAbsolute(input) && !cut.meanAbsolute(input).isEmpty)
        #expect(cut.meanSquare(input) == whole.meanSquare(input))
        #expect(try other(input) == gram(input))
      }
    }
  }

  @Test("Gradients find what the loss depends on: the first-order change equals what a small step away changes")
  func gradients() throws {
    let student = try student()
    var importance = Importance(of: student, statistics: try ActivationStatistics(of: student, on: [Self.batch]))
    let before = importance
    try importance.measureGradients(of: student, on: [Self.batch])
    #expect(importance.blocks == before.blocks && importance.energies == before.energies)
    #expect(importance.channels.count == 128 && importance.channels.allSatisfy { $0 > 0 })
    #expect(importance.heads.allSatisfy { $0.count == 8 })
    // A neuron scaled by 1 − ε changes the loss by ε times the root of its importance, of a single group of samples.
    let entry = try #require(student.layout["model.layers.1.mlp.down_proj.weight"])
    let best = try #require(importance.neurons[1].indices.max { importance.neurons[1][$0] < importance.neurons[1][$1] })
    let loss = try student.loss(Self.batch).meanLoss
    let epsilon: Float = 0.05
    let weights = student.parameters(entry)
    for row in 0..<128 { weights[row * 96 + best] *= 1 - epsilon }
    let change = try abs(student.loss(Self.batch).meanLoss - loss)
    let expected = Double(epsilon) * importance.neurons[1][best].squareRoot()
    #expect(abs(change - expected) < 0.2 * expected + 1e-6, "\(change) against \(expected)")
  }

  @Test("Shapes that files cannot say are refused")
  func refusals() throws {
    let student = try student()
    let bad: [(inout PruningShape) -> Void] = [
      { $0.feedForwardSize = 33 }, { $0.feedForwardSize = 0 }, { $0.feedForwardSize = 128 }, { $0.layerCount = 0 },
      { $0.layerCount = 4 }, { $0.hiddenSize = 96 }, { $0.hiddenSize = 0 }, { $0.hiddenSize = 256 },
      { $0.keyValueHeadCount = 0 }, { $0.keyValueHeadCount = 2 }, { $0.keyValueHeadCount = 5 },
      { $0.vocabularySize = 0 }, { $0.vocabularySize = 98 },
    ]
    for change in bad { #expect(throws: CompressionError.self) { try prune(student, change) } }
    let whole = try prune(student) { _ in }
    #expect(Trainer.weightsDigest(of: whole) == Trainer.weightsDigest(of: student))
  }
}
