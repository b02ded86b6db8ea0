public import Topics

/// Two models on the same questions, paired: what each gets right, and how much the second is better, with 95 % intervals.
public struct ModelComparison: Sendable, Hashable {
  /// One metric of both models.
  public struct Metric: Sendable, Hashable {
    /// The pairs: "first" is the second model here, so that the difference is second minus first model.
    public let pairs: PairedComparison
    /// The difference second − first, in −1…1, as the release gate takes it: weighted, and by different questions.
    public let difference: Interval
    /// McNemar's exact two-sided p-value of the different questions.
    public let exactPValue: Double

    init(first: [Bool], second: [Bool], weights: SampleWeights) {
      pairs = PairedComparison(first: second, second: first)
      difference = PairedComparison.difference(first: second, second: first, weights: weights)
      exactPValue = PairedComparison.exactPValue(first: second, second: first, weights: weights)
    }

    /// Counts, difference, interval and p-value as JSON.
    public var json: JSON {
      [
        "both": .integer(Int64(pairs.both)), "only_a": .integer(Int64(pairs.onlySecond)),
        "only_b": .integer(Int64(pairs.onlyFirst)), "neither": .integer(Int64(pairs.neither)),
        "difference": .number(difference.estimate), "interval": difference.json,
        "p_value": .number(exactPValue),
      ]
    }
  }

  /// The questions that expect one function.
  public struct Slice: Sendable, Hashable {
    /// The function.
    public let name: String
    /// The number of questions.
    public let count: Int
    /// The share of exact calls of the first model.
    public let first: Interval
    /// The same of the second.
    public let second: Interval
    /// Exact match, paired.
    public let exactMatch: Metric
  }

  /// Everything about the first model.
  public let first: EvaluationReport
  /// Everything about the second.
  public let second: EvaluationReport
  /// Whole calls, paired.
  public let exactMatch: Metric
  /// Functions, paired.
  public let functionAccuracy: Metric
  /// One slice per expected function, in the order of their names.
  public let slices: [Slice]

  /// Compares; both lists are of the same questions in the same order.
  public init(first: [EvaluationCase], second: [EvaluationCase]) {
    let count = min(first.count, second.count)
    let weights = SampleWeights(first.prefix(count).map(\.weight), clusters: first.prefix(count).map(\.cluster))
    func metric(_ indices: [Int], _ isRight: (CallScore) -> Bool) -> Metric {
      Metric(
        first: indices.map { isRight(first[$0].score) }, second: indices.map { isRight(second[$0].score) },
        weights: weights.only(indices))
    }
    let all = Array(0..<count)
    self.first = EvaluationReport(Array(first.prefix(count)))
    self.second = EvaluationReport(Array(second.prefix(count)))
    exactMatch = metric(all) { $0.isExact }
    functionAccuracy = metric(all) { $0.functionIsCorrect }
    var byFunction: [String: [Int]] = [:]
    for index in 0..<count { byFunction[first[index].expected.name, default: []].append(index) }
    slices = byFunction.sorted { $0.key < $1.key }.map { name, indices in
      let own = weights.only(indices)
      func share(_ cases: [EvaluationCase]) -> Interval { own.share { cases[indices[$0]].score.isExact } }
      return Slice(
        name: name, count: indices.count, first: share(first), second: share(second),
        exactMatch: metric(indices) { $0.isExact })
    }
  }

  /// The comparison as JSON: `n`, the metrics of `a` and `b`, `exact_match` and `function_accuracy` paired (b − a), `slices`.
  public var json: JSON {
    var slices = JSONObject()
    for slice in self.slices {
      slices[slice.name] = [
        "n": .integer(Int64(slice.count)), "a": .number(slice.first.estimate), "b": .number(slice.second.estimate),
        "exact_match": slice.exactMatch.json,
      ]
    }
    return [
      "n": .integer(Int64(first.count)), "a": Self.json(of: first), "b": Self.json(of: second),
      "exact_match": exactMatch.json, "function_accuracy": functionAccuracy.json, "slices": .object(slices),
    ]
  }

  private static func json(of report: EvaluationReport) -> JSON {
    [
      "exact_match": .number(report.exactMatch.estimate),
      "function_accuracy": .number(report.functionAccuracy.estimate),
      "argument_f1": .number(report.argumentF1.estimate), "invalid": .integer(Int64(report.invalid)),
      "intervals": [
        "exact_match": report.exactMatch.json, "function_accuracy": report.functionAccuracy.json,
        "argument_f1": report.argumentF1.json,
      ],
    ]
  }
}
