import Compression
import ModelFiles
import StudentModel
import Testing
import Tokenization
import Training

@Suite("Calibrated rounding", .serialized) struct RoundingTests {
  /// Rows of correlated numbers, `[rows, width]`: some channels large, each leaning on the one before.
  private func inputs(rows: Int, width: Int, seed: UInt64 = 1) -> [Float] {
    let random = CounterRandom(seed: seed, .initialization)
    return (0..<rows).flatMap { row in
      var last: Float = 0
      return (0..<width).map { channel in
        let noise = Float(random.unit(UInt64(row), UInt64(channel))) - 0.5
        last = 0.7 * last + noise * (channel % 7 == 0 ? 8 : 0.5)
        return last
      }
    }
  }

  private func gram(_ inputs: [Float], width: Int) -> [Float] {
    var gram = [Float](repeating: 0, count: width * width)
    for row in stride(from: 0, to: inputs.count, by: width) {
      for i in 0..<width { for j in 0..<width { gram[i * width + j] += inputs[row + i] * inputs[row + j] } }
    }
    return gram
  }

  private func decoded(_ bytes: [UInt8], _ type: ElementType, _ count: Int) throws -> [Float] {
    var values = [Float](repeating: 0, count: count)
    try bytes.withUnsafeBytes { source in
      try values.withUnsafeMutableBufferPointer { try Quantization.decode(source, as: type, into: $0) }
    }
    return values
  }

  @Test(
    "Compensation makes the error of a layer's outputs smaller than rounding to the nearest",
    arguments: [32, 96, 160, 256, 512])
  func compensation(width: Int) throws {
    let rows = 24
    let weights = inputs(rows: rows, width: width, seed: 9)
    let gram = gram(inputs(rows: 400, width: width), width: width)
    let compensation = try #require(ErrorCompensation(gram: gram, width: width))
    for (type, share) in [(ElementType.q4_0, 0.8), (.q8_0, 1.0), (.q4_k, 0.8)] where width % type.blockSize == 0 {
      let bytes = weights.withUnsafeBufferPointer { compensation.round($0, rows: rows, as: type) }
      let nearest =
        switch type {
        case .q4_0: try Quantization.q4_0(weights)
        case .q4_k: try Quantization.q4_k(weights)
        default: try Quantization.q8_0(weights)
        }
      #expect(bytes.count == nearest.count)
      func error(_ bytes: [UInt8]) throws -> Double {
        let errors = zip(weights, try decoded(bytes, type, weights.count)).map { $0 - $1 }
        return GramMatrices.error(errors, rows: rows, width: width, gram: gram).squareRoot()
      }
      #expect(try error(bytes) < share * error(nearest), "\(type)")
      #expect(weights.withUnsafeBufferPointer { compensation.round($0, rows: rows, as: type) } == bytes)
    }
  }

  @Test("Weights that the grid holds exactly are stored exactly, and nothing is compensated")
  func exact() throws {
    let width = 64
    let weights = (0..<width * 3).map { Float(($0 * 5) % 16 - 8) * 0.25 }
    let compensation = try #require(
      ErrorCompensation(gram: gram(inputs(rows: 90, width: width), width: width), width: width))
    let bytes = weights.withUnsafeBufferPointer { compensation.round($0, rows: 3, as: .q4_0) }
    #expect(try decoded(bytes, .q4_0, weights.count) == weights)
    #expect(ErrorCompensation(gram: [Float](repeating: 0, count: width * width), width: width) == nil)
    #expect(ErrorCompensation(gram: [Float](repeating: .nan, count: width * width), width: width) == nil)
  }

  @Test(
    "Scales chosen by what a layer reads make its outputs' error smaller; rows that are no whole blocks stay in bytes")
  func weighted() throws {
    let tokenizer = try Fixture.tokenizer()
    let student = try Student(
      configuration: DecoderConfiguration(
        vocabularySize: tokenizer.vocabularySize, hiddenSize: 256, layerCount: 1, headCount: 8, keyValueHeadCount: 2,
        feedForwardSize: 96, maximumPositions: 128),
      seed: 5)
    let encoder = try SampleEncoder(tokenizer: tokenizer, functions: Fixture.functions(), maximumSequence: 96)
    let batches = ActivationStatistics.batches(of: Fixture.samples(45), encoder: encoder)
    func errors(_ rounding: StoredTensors.Rounding) throws -> [TensorError] {
      let tensors = StoredTensors(
        student: student, elementType: { QuantizationPlan.uniform(.q4k).elementType($0, $1, tied: true) },
        grams: GramMatrices(of: student, on: batches), rounding: rounding)
      return try student.layout.entries.map { try tensors.store($0).error }
    }
    let (nearest, weighted, compensated) = (try errors(.nearest), try errors(.weighted), try errors(.compensated))
    func sum(_ errors: [TensorError]) -> Double {
      errors.filter { $0.type == .q4_k }.reduce(0) { $0 + ($1.outputError ?? 9) }
    }
    #expect(sum(weighted) < sum(nearest), "\(sum(weighted) / sum(nearest))")
    #expect(sum(compensated) < 0.8 * sum(nearest), "\(sum(compensated) / sum(nearest))")
    let types = Dictionary(uniqueKeysWithValues: nearest.map { ($0.name, $0.type) })
    #expect(types["model.layers.0.mlp.up_proj.weight"] == .q4_k)
    #expect(types["model.layers.0.mlp.down_proj.weight"] == .q8_0)
    #expect(types["model.embed_tokens.weight"] == .q6_k)
    #expect(types["model.norm.weight"] == .f32)
  }

  @Test("A mix of rows that are whole blocks of 256 has Q4_K, Q6_K and Q8_0")
  func mixOfSuperBlocks() throws {
    let student = try Student(
      configuration: DecoderConfiguration(
        vocabularySize: 300, hiddenSize: 256, layerCount: 2, headCount: 4, keyValueHeadCount: 2, feedForwardSize: 512,
        maximumPositions: 64),
      seed: 8)
    let mix = PrecisionMix(student: student, divergence: nil, metadataBytes: 1_000)
    let four = student.layout.count * 144 / 256
    func types(_ bytes: Int) throws -> Set<ElementType> { Set(try mix.formats(bytes: bytes).values) }
    #expect(try types(four + 40_000).isSuperset(of: [.q4_k, .q6_k, .f32]))
    #expect(try types(four * 2).isSuperset(of: [.q8_0, .f32]))
    #expect(try types(10_000_000) == [.q8_0, .f32])
    #expect(throws: CompressionError.self) { try mix.formats(bytes: four - 10_000) }
  }

  @Test("A matrix that more bits would only harm stays in four, however much room there is")
  func mixOfExactMatrices() throws {
    let student = try Fixture.student(Fixture.tokenizer())
    let random = "model.layers.1.mlp.up_proj.weight"
    for entry in student.layout.entries where entry.shape.count == 2 && entry.name != random {
      // All of what Q4_0 can say with one scale, which Q8_0 has no scale for.
      let values = student.parameters(entry)
      for index in values.indices { values[index] = Float(index % 16 - 8) / 16 }
    }
    let formats = try PrecisionMix(student: student, divergence: nil, metadataBytes: 1_000)
      .formats(bytes: 10_000_000)
    for entry in student.layout.entries {
      #expect(formats[entry.name] == (entry.shape.count < 2 ? .f32 : entry.name == random ? .q8_0 : .q4_0))
    }
  }

  private func trained() throws -> (Student, [PackedBatch]) {
    let tokenizer = try Fixture.tokenizer()
    let student = try Fixture.student(tokenizer)
    try Fixture.train(student, tokenizer, steps: 150)
    let encoder = try SampleEncoder(tokenizer: tokenizer, functions: Fixture.functions(), maximumSequence: 96)
    return (student, ActivationStatistics.batches(of: Fixture.samples(45), encoder: encoder))
  }

  @Test("Scaling changes weights and no prediction, and makes the outputs' rounding errors smaller")
  func scaling() throws {
    let (student, batches) = try trained()
    let scaled = student.copy()
    let element: (String, [Int]) -> ElementType = { $1.count == 2 ? .q4_0 : .f32 }
    let changed = try ActivationScaling.scale(
      scaled, statistics: ActivationStatistics(of: student, on: batches), grams: GramMatrices(of: student, on: batches),
      element: element)
    #expect(changed > 0)
    #expect(Trainer.weightsDigest(of: scaled) != Trainer.weightsDigest(of: student))
    for (a, b) in zip(try student.forward(batches[0]), try scaled.forward(batches[0])) { #expect(abs(a - b) < 2e-3) }
    func errors(_ student: Student) throws -> Double {
      try StoredTensors(student: student, elementType: element, grams: GramMatrices(of: student, on: batches))
        .nearestOutputErrors().values.reduce(0, +)
    }
    #expect(try errors(scaled) < errors(student))
  }

  @Test("A mix stays within its bytes, raises what matters, and is refused where even the smallest is too large")
  func mix() throws {
    let (student, batches) = try trained()
    let divergence = try Divergence(from: student, on: batches, maximumRows: 4_096)
    for measured in [divergence, nil] {
      let mix = PrecisionMix(student: student, divergence: measured, metadataBytes: 1_000)
      let before = Trainer.weightsDigest(of: student)
      let limit = student.layout.count * 18 / 32 + 12_000
      let formats = try mix.formats(bytes: limit)
      #expect(Trainer.weightsDigest(of: student) == before)
      let types = Set(formats.values)
      #expect(types.contains(.q4_0) && types.contains(.q8_0) && types.contains(.f32))
      #expect(try mix.formats(bytes: limit) == formats)
      #expect(try !mix.formats(bytes: 10_000_000).values.contains(.q4_0))
      #expect(throws: CompressionError.self) { try mix.formats(bytes: 5_000) }
    }
  }
}
