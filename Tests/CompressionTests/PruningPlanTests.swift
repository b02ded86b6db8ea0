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

  @Test("A target is reached, and not by more than it takes")
  func targets() throws {
    let student = try Student(
      configuration: DecoderConfiguration(
        vocabularySize: 300, hiddenSize: 128, layerCount: 4, headCount: 4, keyValueHeadCount: 2, feedForwardSize: 512),
      seed: 3)
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
}
