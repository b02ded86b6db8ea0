import Compression
import ModelFiles
import StudentModel
import Testing

@Suite("Pruning plans") struct PruningPlanTests {
  private let half = DecoderConfiguration(
    vocabularySize: 151_936, hiddenSize: 896, layerCount: 24, headCount: 14, keyValueHeadCount: 2,
    feedForwardSize: 4_864)

  @Test("Plans are read, and read back from their text")
  func texts() throws {
    for text in [
      "none", "ffn=0.875", "layers=20", "ffn=-12.5%,layers=50%,hidden=768,kv=1,vocabulary=used",
      "parameters=-20%", "vocabulary=used,bytes=1.5MB", "latency=0.7",
    ] {
      let plan = try PruningPlan(text)
      #expect(try PruningPlan(plan.text) == plan)
    }
    #expect(try PruningPlan("none").isEmpty && PruningPlan("none").text == "none")
    #expect(try PruningPlan("ffn=-12.5%") == PruningPlan(feedForwardKeep: 0.875))
    #expect(try PruningPlan("bytes=1.5MB").target?.amount == .count(1_500_000))
    #expect(try PruningPlan("bytes=2KiB").target?.amount == .count(2_048))
  }

  @Test("What is no plan is refused in one sentence that names it")
  func refusals() {
    for text in [
      "ffn", "ffn=", "ffn=0", "ffn=1.5", "ffn=-100%", "ffn=-0.5", "width=3", "vocabulary=32",
      "parameters=-20%,bytes=1MB",
      "ffn=0.5,ffn=0.5", "layers=-3", "bytes=MB", "bytes=-1MB", ",", "parameters=x",
    ] {
      let error = #expect(throws: CompressionError.self) { try PruningPlan(text) }
      #expect(error?.code == .invalidPolicy && error?.description.contains("prune") == true)
    }
  }

  @Test("Shares become sizes that files can say")
  func shapes() throws {
    func shape(_ text: String) throws -> PruningShape { try PruningPlan(text).shape(of: half) }
    #expect(try shape("ffn=0.9375").feedForwardSize == 4_576)
    #expect(try shape("ffn=0.001").feedForwardSize == 32)
    #expect(try shape("layers=-10%").layerCount == 22)
    #expect(try shape("hidden=0.9").hiddenSize == 768)
    #expect(try shape("kv=1").hiddenSize == 448)
    #expect(try shape("kv=1,hidden=320").hiddenSize == 320)
    #expect(throws: CompressionError.self) { try shape("kv=1,hidden=896") }
    #expect(throws: CompressionError.self) { try shape("hidden=800") }
    #expect(throws: CompressionError.self) { try shape("layers=25") }
    #expect(throws: CompressionError.self) { try shape("ffn=100") }
  }

  @Test("A share that an axis has no size for is refused, with the sizes that there are")
  func coarseSteps() throws {
    let small = DecoderConfiguration(
      vocabularySize: 300, hiddenSize: 192, layerCount: 5, headCount: 6, keyValueHeadCount: 2, feedForwardSize: 512)
    for (text, sizes) in [
      ("hidden=-16%", "128, 64"), ("layers=-5%", "4, 3, 2, 1"), ("ffn=0.99", "480, 448, 416, 384"), ("kv=0.9", "1"),
    ] {
      let error = #expect(throws: CompressionError.self) { try PruningPlan(text).checkSteps(of: small) }
      #expect(error?.description.contains(sizes) == true && error?.description.contains(text.prefix(3)) == true)
    }
    for text in ["none", "hidden=-20%", "layers=-20%", "ffn=1.0", "parameters=-1%", "kv=2", "kv=0.5"] {
      try PruningPlan(text).checkSteps(of: small)
    }
  }

  private static func student() throws -> Student {
    try Student(
      configuration: DecoderConfiguration(
        vocabularySize: 300, hiddenSize: 128, layerCount: 4, headCount: 4, keyValueHeadCount: 2, feedForwardSize: 512),
      seed: 3)
  }

  @Test("A target is reached, and not by more than it takes")
  func targets() throws {
    let student = try Self.student()
    let search = ShapeSearch(
      parent: student, importance: Importance(weightsOf: student), divergence: nil,
      cost: ModelCost(elementType: { _, shape in shape.count == 2 ? .q8_0 : .f32 }, metadataBytes: 1_000))
    let start = PruningShape(student.configuration)
    for measure in PruningPlan.Measure.allCases {
      for share in [0.95, 0.8, 0.5] {
        let target = PruningPlan.Target(measure: measure, amount: .share(share))
        let shape = try search.shape(from: start, target: target)
        let before = search.cost(student.configuration, in: measure)
        let after = search.cost(try shape.configuration(prunedFrom: student.configuration), in: measure)
        #expect(Double(after) <= share * Double(before))
        var wider = shape
        wider.feedForwardSize += 32
        if wider.feedForwardSize <= 512 {
          let larger = search.cost(try wider.configuration(prunedFrom: student.configuration), in: measure)
          #expect(Double(larger) > share * Double(before))
        }
        #expect(try search.shape(from: start, target: target) == shape)
      }
    }
    #expect(throws: CompressionError.self) {
      try search.shape(from: start, target: PruningPlan.Target(measure: .parameters, amount: .count(10)))
    }
  }

  @Test("Where nothing can be measured feed-forward width goes first, then hidden width, and layers last")
  func unmeasured() throws {
    let student = try Self.student()
    let search = ShapeSearch(
      parent: student, importance: Importance(weightsOf: student), divergence: nil,
      cost: ModelCost(elementType: { _, _ in .f32 }, metadataBytes: 0))
    let start = PruningShape(student.configuration)
    func shape(_ share: Double) throws -> PruningShape {
      try search.shape(from: start, target: PruningPlan.Target(measure: .parameters, amount: .share(share)))
    }
    let (some, much, most) = (try shape(0.8), try shape(0.35), try shape(0.08))
    #expect(some.feedForwardSize < 512 && some.hiddenSize == 128 && some.layerCount == 4)
    #expect(much.hiddenSize < 128 && much.layerCount == 4)
    #expect(most.layerCount < 4)
  }

  @Test("A plan that leaves fewer than a quarter of the blocks begins there, and reaches its target at that depth")
  func fewBlocks() throws {
    let parent = try Student(
      configuration: DecoderConfiguration(
        vocabularySize: 64, hiddenSize: 32, layerCount: 8, headCount: 2, keyValueHeadCount: 1, feedForwardSize: 128),
      seed: 3)
    var batch = PackedBatch()
    batch.append(prompt: [5, 7], completion: [20, 1])
    let divergence = try #require(try Divergence(from: parent, on: [batch], maximumRows: 64))
    let search = ShapeSearch(
      parent: parent, importance: Importance(weightsOf: parent), divergence: divergence,
      cost: ModelCost(elementType: { _, _ in .f32 }, metadataBytes: 0))
    let start = try PruningPlan("layers=1").shape(of: parent.configuration)
    let target = PruningPlan.Target(measure: .parameters, amount: .share(0.1))
    #expect(try search.candidates(from: start, target: target).map(\.layerCount) == [1])
    let shape = try search.shape(from: start, target: target) { _ in }
    let after = try shape.configuration(prunedFrom: parent.configuration).parameterCount
    #expect(shape.layerCount == 1 && Double(after) <= 0.1 * Double(parent.layout.count))
  }

  @Test("Depths are told apart by what recovers best, not by what harms least at first")
  func depths() throws {
    let parent = try Student(
      configuration: DecoderConfiguration(
        vocabularySize: 300, hiddenSize: 64, layerCount: 4, headCount: 4, keyValueHeadCount: 2, feedForwardSize: 256),
      seed: 3)
    var batch = PackedBatch()
    for start in 0..<8 { batch.append(prompt: [5, Int32(start + 7), 90], completion: [Int32(start + 20), 1]) }
    let divergence = try #require(try Divergence(from: parent, on: [batch], maximumRows: 64))
    let importance = Importance(weightsOf: parent)
    let search = ShapeSearch(
      parent: parent, importance: importance, divergence: divergence,
      cost: ModelCost(elementType: { _, _ in .f32 }, metadataBytes: 0))
    let start = PruningShape(parent.configuration)
    let target = PruningPlan.Target(measure: .parameters, amount: .share(0.7))
    let candidates = try search.candidates(from: start, target: target)
    #expect(candidates.map(\.layerCount) == [4, 3, 2])
    for shape in candidates {
      let after = try shape.configuration(prunedFrom: parent.configuration).parameterCount
      #expect(Double(after) <= 0.7 * Double(parent.layout.count))
    }
    // A recovery that succeeds at one depth alone: elsewhere it leaves the student saying nothing.
    for depth in 2...4 {
      var tried: [Int] = []
      let shape = try search.shape(from: start, target: target) { student in
        tried.append(student.configuration.layerCount)
        if student.configuration.layerCount != depth { student.parameters.update(repeating: 0) }
      }
      #expect(shape.layerCount == depth && tried == [4, 3, 2])
    }
  }
}
