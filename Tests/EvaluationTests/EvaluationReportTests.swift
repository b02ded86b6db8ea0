import Evaluation
import Testing
import Topics

@Suite("Evaluation reports") struct EvaluationReportTests {
  private func item(_ id: String, _ expected: Call, _ predicted: Call?, _ latency: Double?) -> EvaluationCase {
    EvaluationCase(id: id, expected: expected, predicted: predicted, latencyMilliseconds: latency)
  }

  private var cases: [EvaluationCase] {
    let f = Call(name: "f", arguments: ["a": 1, "b": "x"])
    let g = Call(name: "g", arguments: ["c": true])
    return [
      item("1", f, f, 1), item("2", f, Call(name: "f", arguments: ["a": 1, "b": "y"]), 2),
      item("3", g, Call(name: "f", arguments: [:]), 3), item("4", g, nil, nil),
    ]
  }

  @Test("A report counts exact calls, functions, pairs and invalid answers")
  func metrics() {
    let report = EvaluationReport(cases)
    #expect(report.count == 4)
    #expect(report.exactMatch.estimate == 0.25)
    #expect(report.functionAccuracy.estimate == 0.5)
    // 3 matching pairs; 4 predicted, 6 expected.
    #expect(report.argumentF1.estimate == 0.6)
    #expect(report.argumentF1.lower <= 0.6 && report.argumentF1.upper >= 0.6)
    #expect(report.invalid == 1)
    #expect(report.latency.p50 == 2)
    #expect(report.slices.map(\.name) == ["f", "g"])
    #expect(report.slices[0].exactMatch.estimate == 0.5)
    #expect(report.slices[1].functionAccuracy.estimate == 0)
  }

  @Test("The JSON of a report has the documented keys")
  func json() {
    let json = EvaluationReport(cases).json
    #expect(
      json.objectValue?.keys == [
        "n", "exact_match", "function_accuracy", "argument_f1", "invalid", "latency_ms", "intervals", "slices",
      ])
    #expect(json["n"] == 4)
    #expect(json["latency_ms"]?.objectValue?.keys == ["p50", "p99"])
    #expect(json["intervals"]?["exact_match"]?.arrayValue?.count == 2)
  }

  @Test("A report on nothing is finite")
  func nothing() {
    let report = EvaluationReport([])
    #expect(report.count == 0)
    #expect(report.argumentF1.estimate == 1)
    #expect(report.json["exact_match"] == 0)
  }
}
