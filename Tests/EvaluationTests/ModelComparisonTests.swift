import Evaluation
import Testing
import Topics

@Suite("Two models on the same questions")
struct ModelComparisonTests {
  /// A model's answers: right, the right function with a wrong argument, or none.
  private enum Answer { case right, close, none }

  private func cases(_ answers: [(function: String, answer: Answer, cluster: String)]) -> [EvaluationCase] {
    answers.enumerated().map { index, item in
      let expected = Call(name: item.function, arguments: ["n": .integer(Int64(index))])
      let predicted: Call? =
        switch item.answer {
        case .right: expected
        case .close: Call(name: item.function, arguments: ["n": -1])
        case .none: nil
        }
      return EvaluationCase(id: "q\(index)", expected: expected, predicted: predicted, cluster: item.cluster)
    }
  }

  @Test("the difference is second minus first, and counts say who alone was right")
  func counts() {
    let first = cases([("f", .right, "0"), ("f", .close, "1"), ("g", .none, "2"), ("g", .right, "3")])
    let second = cases([("f", .right, "0"), ("f", .right, "1"), ("g", .right, "2"), ("g", .close, "3")])
    let comparison = ModelComparison(first: first, second: second)
    let pairs = comparison.exactMatch.pairs
    #expect((pairs.both, pairs.onlySecond, pairs.onlyFirst, pairs.neither) == (1, 1, 2, 0))
    #expect(comparison.exactMatch.difference.estimate == 0.25)
    #expect(comparison.functionAccuracy.difference.estimate == 0.25)
    #expect(comparison.slices.map(\.name) == ["f", "g"])
    #expect(comparison.slices.map(\.exactMatch.difference.estimate) == [0.5, 0])
    #expect(comparison.json["exact_match"]?["only_b"]?.integerValue == 2)
    #expect(comparison.json["slices"]?["g"]?["a"]?.doubleValue == 0.5)
    let turned = ModelComparison(first: second, second: first)
    #expect(turned.exactMatch.difference.estimate == -0.25)
    #expect(turned.exactMatch.difference.lower == -comparison.exactMatch.difference.upper)
  }

  @Test("questions that belong together make the interval wider, never narrower")
  func clusters() {
    func both(_ cluster: (Int) -> String) -> ModelComparison {
      ModelComparison(
        first: cases((0..<200).map { ("f", $0 % 20 < 10 ? .right : .none, cluster($0)) }),
        second: cases((0..<200).map { ("f", $0 % 20 < 12 ? .right : .none, cluster($0)) }))
    }
    let alone = both { "\($0)" }.exactMatch.difference
    let together = both { "\($0 % 20)" }.exactMatch.difference
    #expect(alone.estimate == together.estimate)
    #expect(together.lower < alone.lower)
    #expect(together.upper > alone.upper)
  }

  @Test("no questions say nothing: 0, from −1 to 1")
  func nothing() {
    let comparison = ModelComparison(first: [], second: [])
    #expect(comparison.exactMatch.difference == Interval(estimate: 0, lower: -1, upper: 1))
    #expect(comparison.slices.isEmpty)
  }
}
