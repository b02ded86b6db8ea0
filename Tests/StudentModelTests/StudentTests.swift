import ModelFiles
import StudentModel
import Testing

@Suite struct StudentTests {
  @Test("initial weights follow the recipe and the seed")
  func initialization() throws {
    let configuration = DecoderConfiguration(
      vocabularySize: 512, hiddenSize: 128, layerCount: 2, headCount: 4, keyValueHeadCount: 2, feedForwardSize: 256)
    let student = try Student(configuration: configuration, seed: 1)
    func deviation(_ name: String) throws -> Double {
      let values = student.parameters(try #require(student.layout[name]))
      return (values.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(values.count)).squareRoot()
    }
    #expect(abs(try deviation("model.embed_tokens.weight") - 0.07) < 0.002)
    #expect(abs(try deviation("model.layers.0.mlp.up_proj.weight") - 0.8 / 128.0.squareRoot()) < 0.002)
    #expect(abs(try deviation("model.layers.1.mlp.down_proj.weight") - 0.8 / 256.0.squareRoot() / 2) < 0.001)
    #expect(abs(try deviation("model.layers.1.self_attn.o_proj.weight") - 0.8 / 128.0.squareRoot() / 2) < 0.001)
    #expect(try deviation("model.norm.weight") == 1)
    #expect(try deviation("model.layers.0.self_attn.k_proj.bias") == 0)
    let again = try Student(configuration: configuration, seed: 1)
    #expect(again.parameters.map(\.bitPattern) == student.parameters.map(\.bitPattern))
    let other = try Student(configuration: configuration, seed: 2)
    #expect(other.parameters[0] != student.parameters[0])
  }

  @Test("the layout has no gaps and decays matrices alone")
  func layout() throws {
    let layout = ParameterLayout(Small.configuration)
    var next = 0
    for entry in layout.entries {
      #expect(entry.offset == next)
      #expect(entry.count == entry.shape.reduce(1, *))
      #expect(entry.decays == (entry.shape.count == 2))
      next += entry.count
    }
    #expect(next == layout.count && next == Small.configuration.parameterCount)
    #expect(layout.decayRanges.reduce(0) { $0 + $1.range.count } == layout.count)
    for (a, b) in zip(layout.decayRanges, layout.decayRanges.dropFirst()) {
      #expect(a.range.upperBound == b.range.lowerBound && a.decays != b.decays)
    }
  }

  @Test("a copy has the same weights and its own storage")
  func copying() throws {
    let student = try Student(configuration: Small.configuration, seed: 1)
    let copy = student.copy()
    #expect(copy.parameters.elementsEqual(student.parameters))
    copy.parameters[0] += 1
    #expect(copy.parameters[0] != student.parameters[0])
  }

  @Test("a prompt's completion alone has targets")
  func promptAndCompletion() {
    var batch = PackedBatch()
    batch.append(prompt: [5, 6, 7], completion: [8, 9], weight: 2)
    #expect(batch.tokens == [5, 6, 7, 8])
    #expect(batch.targets == [-1, -1, 8, 9])
    #expect(batch.weights == [2, 2, 2, 2])
    #expect(batch.sequenceStarts == [0, 4])
    #expect(batch.targetRows == [2, 3])
  }

  @Test("a prompt's tokens have targets where they have a weight")
  func promptWeight() {
    var batch = PackedBatch()
    batch.append(prompt: [1, 2], completion: [3])
    batch.append(prompt: [5, 6, 7], completion: [8, 9], weight: 2, promptWeight: 0.5)
    #expect(batch.targets == [-1, 3, 6, 7, 8, 9])
    #expect(batch.weights == [1, 1, 0.5, 0.5, 2, 2])
  }

  @Test("what the linear layers read is shown block by block, the same whatever the targets")
  func linearInputs() throws {
    let student = try Student(configuration: Small.configuration, seed: 1)
    var batch = Small.batch()
    func inputs() throws -> [LinearInput: [Float]] {
      var found: [LinearInput: [Float]] = [:]
      var order: [LinearInput] = []
      try student.observeInputs(batch) { input, values, width in
        #expect(values.count == batch.rowCount * width)
        found[input] = Array(values)
        order.append(input)
      }
      #expect(order.map(\.layer) == order.map(\.layer).sorted() && order.last?.place == .output)
      return found
    }
    let found = try inputs()
    #expect(found.count == 3 * 4 + 1)
    #expect(found[LinearInput(.hidden, layer: 2)]?.count == batch.rowCount * 33)
    batch.targets = [Int32](repeating: -1, count: batch.rowCount)
    #expect(try inputs() == found)
    let names = student.layout.entries.filter { $0.decays && $0.name != "model.embed_tokens.weight" }.map(\.name)
    #expect(
      names.allSatisfy { found[LinearInput(parameter: $0, layerCount: 3) ?? LinearInput(.output, layer: 9)] != nil })
  }

  @Test("a batch without targets has no loss and no gradient")
  func noTargets() throws {
    let student = try Student(configuration: Small.configuration, seed: 1)
    var batch = PackedBatch()
    batch.append(tokens: [1, 2], targets: [-1, -1])
    #expect(try student.forwardBackward(batch) == LossReport())
    #expect(student.gradients.allSatisfy { $0 == 0 })
    #expect(try student.forward(batch).isEmpty)
    #expect(try student.loss(PackedBatch()) == LossReport())
  }

  @Test("batches that do not fit are refused by name")
  func refusals() throws {
    let student = try Student(configuration: Small.configuration, seed: 1)
    func code(_ change: (inout PackedBatch) -> Void) -> StudentError.Code? {
      var batch = Small.batch()
      change(&batch)
      do {
        _ = try student.forwardBackward(batch)
        return nil
      } catch {
        #expect(!error.description.isEmpty)
        return error.code
      }
    }
    #expect(code { $0.tokens[3] = 67 } == .tokenRange)
    #expect(code { $0.tokens[3] = -1 } == .tokenRange)
    #expect(code { $0.targets[3] = 67 } == .tokenRange)
    #expect(code { $0.targets[3] = -2 } == .tokenRange)
    #expect(code { $0.weights[3] = .nan } == .numberRange)
    #expect(code { $0.weights[3] = -1 } == .numberRange)
    #expect(code { $0.weights.removeLast() } == .batchShape)
    #expect(code { $0.sequenceStarts[1] = 0 } == .batchShape)
    #expect(code { $0.sequenceStarts.removeAll() } == .batchShape)
    #expect(
      code { $0.append(tokens: [Int32](repeating: 1, count: 97), targets: [Int32](repeating: 1, count: 97)) }
        == .sequenceLength)
  }

  @Test("wrong configurations, buffers, teachers and dropout rates are refused")
  func otherRefusals() throws {
    var configuration = Small.configuration
    configuration.keyValueHeadCount = 4
    #expect(throws: StudentError.self) { try Student(configuration: configuration, seed: 1) }
    #expect(throws: StudentError.self) { try Student(configuration: Small.configuration, parameters: [1, 2, 3]) }
    let student = try Student(configuration: Small.configuration, seed: 1)
    let batch = Small.batch()
    #expect(throws: StudentError.self) {
      try student.forwardBackward(batch, dropout: Dropout(rate: 1, seed: 1, step: 1))
    }
    #expect(throws: StudentError.self) { try student.forwardBackward(batch, normalizer: -1) }
    #expect(throws: StudentError.self) { try student.forward(batch, rows: [3, 3]) }
    #expect(throws: StudentError.self) { try student.forward(batch, rows: [Int32(batch.rowCount)]) }
    let logits = [Float](repeating: 0, count: 5)
    #expect(throws: StudentError.self) {
      try logits.withUnsafeBufferPointer { try student.forwardBackward(batch, teacherLogits: $0, klWeight: 0.5) }
    }
  }

  @Test("learning one batch by heart works")
  func learning() throws {
    let student = try Student(configuration: Small.configuration, seed: 1)
    let batch = Small.batch()
    let before = try student.loss(batch).meanLoss
    for _ in 0..<60 {
      _ = try student.forwardBackward(batch)
      for index in student.parameters.indices { student.parameters[index] -= 0.1 * student.gradients[index] }
    }
    #expect(try student.loss(batch).meanLoss < 0.75 * before)
  }
}
