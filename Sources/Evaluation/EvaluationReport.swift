public import Topics

/// Metrics of one model on a set of cases, with 95 % intervals.
///
/// Shares are in 0…1. Wilson intervals for exact match and function accuracy, a seeded bootstrap for argument F1.
public struct EvaluationReport: Sendable, Hashable {
  /// The metrics of the cases that expect one function.
  public struct Slice: Sendable, Hashable {
    /// The function that the cases expect.
    public let name: String
    /// The number of cases.
    public let count: Int
    /// The share of exact calls.
    public let exactMatch: Interval
    /// The share of cases with the right function.
    public let functionAccuracy: Interval
    /// Micro F1 over top-level (key, value) pairs.
    public let argumentF1: Double
  }

  /// The number of cases.
  public let count: Int
  /// The share of exact calls.
  public let exactMatch: Interval
  /// The share of cases with the right function.
  public let functionAccuracy: Interval
  /// Micro F1 over top-level (key, value) pairs; 1 where no pair is expected and none is predicted.
  public let argumentF1: Interval
  /// The number of answers that were no valid call.
  public let invalid: Int
  /// Latencies of the cases that have one.
  public let latency: LatencyPercentiles
  /// One slice per expected function, in the order of their names.
  public let slices: [Slice]

  /// Computes every metric of the cases; shares and F1 are weighted by the cases' weights, counts are not.
  public init(_ cases: [EvaluationCase]) {
    let scores = cases.map(\.score)
    let weights = SampleWeights(cases.map(\.weight), clusters: cases.map(\.cluster))
    count = scores.count
    exactMatch = weights.share { scores[$0].isExact }
    functionAccuracy = weights.share { scores[$0].functionIsCorrect }
    invalid = scores.count { !$0.isValid }
    latency = LatencyPercentiles(milliseconds: cases.compactMap(\.latencyMilliseconds))
    let numbers = SampleWeights.numbers(cases.map(\.cluster))
    var clusters = [[Int]](repeating: [], count: weights.distinctCount)
    for (index, number) in numbers.enumerated() { clusters[number].append(index) }
    argumentF1 = ClusterBootstrap(resamples: 1_000).interval(
      estimate: Self.f1(cases, 0..<cases.count), units: clusters.count,
      statistic: { draws in Self.f1(cases, draws.lazy.flatMap { clusters[$0] }) })
    var groups: [String: [Int]] = [:]
    for (index, item) in cases.enumerated() { groups[item.expected.name, default: []].append(index) }
    slices = groups.sorted { $0.key < $1.key }.map { name, members in
      let own = weights.only(members)
      return Slice(
        name: name, count: members.count, exactMatch: own.share { scores[members[$0]].isExact },
        functionAccuracy: own.share { scores[members[$0]].functionIsCorrect }, argumentF1: Self.f1(cases, members))
    }
  }

  /// Micro F1 of the scores' (key, value) pairs, in 0…1; 1 where there is no pair on either side.
  public static func f1(_ scores: [CallScore]) -> Double {
    f1(
      matching: scores.reduce(0) { $0 + Double($1.matchingArguments) },
      predicted: scores.reduce(0) { $0 + Double($1.predictedArguments) },
      expected: scores.reduce(0) { $0 + Double($1.expectedArguments) })
  }

  private static func f1(_ cases: [EvaluationCase], _ indices: some Sequence<Int>) -> Double {
    var sums = (matching: 0.0, predicted: 0.0, expected: 0.0)
    for index in indices {
      let (score, weight) = (cases[index].score, cases[index].weight)
      sums.matching += weight * Double(score.matchingArguments)
      sums.predicted += weight * Double(score.predictedArguments)
      sums.expected += weight * Double(score.expectedArguments)
    }
    return f1(matching: sums.matching, predicted: sums.predicted, expected: sums.expected)
  }

  private static func f1(matching: Double, predicted: Double, expected: Double) -> Double {
    predicted + expected == 0 ? 1 : 2 * matching / (predicted + expected)
  }

  /// The report as JSON: `n`, `exact_match`, `function_accuracy`, `argument_f1`, `invalid`, `latency_ms`,
  /// `intervals` (lower and upper bound of each share) and `slices`.
  public var json: JSON {
    var intervals = JSONObject()
    intervals["exact_match"] = exactMatch.json
    intervals["function_accuracy"] = functionAccuracy.json
    intervals["argument_f1"] = argumentF1.json
    var bySlice = JSONObject()
    for slice in slices { bySlice[slice.name] = slice.json }
    var object = JSONObject()
    object["n"] = .integer(Int64(count))
    object["exact_match"] = .number(exactMatch.estimate)
    object["function_accuracy"] = .number(functionAccuracy.estimate)
    object["argument_f1"] = .number(argumentF1.estimate)
    object["invalid"] = .integer(Int64(invalid))
    object["latency_ms"] = latency.json
    object["intervals"] = .object(intervals)
    object["slices"] = .object(bySlice)
    return .object(object)
  }
}

extension EvaluationReport.Slice {
  /// The slice's metrics as JSON.
  public var json: JSON {
    .object([
      "n": .integer(Int64(count)), "exact_match": .number(exactMatch.estimate), "interval": exactMatch.json,
      "function_accuracy": .number(functionAccuracy.estimate), "argument_f1": .number(argumentF1),
    ])
  }
}
