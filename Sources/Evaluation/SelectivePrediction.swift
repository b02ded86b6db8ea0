public import Topics

/// What a model does where it answers only what it is sure of and leaves the rest to others.
///
/// Reference: Geifman and El-Yaniv 2017, arXiv 1705.08500 (coverage, and the risk on what is covered).
public struct SelectivePrediction: Sendable, Hashable {
  /// From which confidence on it answers, 0 to 1.
  public let threshold: Double
  /// The number of cases that it answers.
  public let count: Int
  /// Their share.
  public let coverage: Interval
  /// The share of exact calls among them; of none 0, from 0 to 1.
  public let exactMatch: Interval

  /// What becomes of cases that have a confidence; one without a call is never answered.
  public init(_ cases: [EvaluationCase], threshold: Double) {
    let weights = SampleWeights(cases.map(\.weight), clusters: cases.map(\.cluster))
    func isAnswered(_ index: Int) -> Bool {
      cases[index].predicted != nil && cases[index].confidence.map { $0 >= threshold } ?? false
    }
    let answered = cases.indices.filter(isAnswered)
    self.threshold = threshold
    count = answered.count
    coverage = weights.share(isAnswered)
    exactMatch = weights.only(answered).share { cases[answered[$0]].score.isExact }
  }

  /// The lowest threshold at and above which answers are right with at least `precision`, 0 to 1; nil where none reaches it.
  ///
  /// - Parameter answers: each with whether it is right, 1 or 0, or how probably.
  public static func threshold(
    for precision: Double, of answers: [(confidence: Double, right: Double, weight: Double)]
  ) -> Double? {
    let ranked = answers.sorted { $0.confidence > $1.confidence }
    var right = 0.0
    var all = 0.0
    var threshold: Double?
    for (index, item) in ranked.enumerated() {
      all += item.weight
      right += item.weight * item.right
      // Answers of one confidence stand on the same side.
      let isLastOfItsKind = index + 1 == ranked.count || ranked[index + 1].confidence < item.confidence
      if isLastOfItsKind, right >= precision * all { threshold = item.confidence }
    }
    return threshold.map { min(1, max(0, $0)) }
  }

  /// The same of cases that have a confidence.
  public static func threshold(for precision: Double, of cases: [EvaluationCase]) -> Double? {
    threshold(
      for: precision,
      of: cases.filter { $0.predicted != nil }.map { ($0.confidence ?? 0, $0.score.isExact ? 1 : 0, $0.weight) }
    )
  }

  /// `threshold`, `n` answered, `coverage` and `exact_match` with their intervals.
  public var json: JSON {
    [
      "threshold": .number(threshold), "n": .integer(Int64(count)), "coverage": .number(coverage.estimate),
      "exact_match": .number(exactMatch.estimate),
      "intervals": ["coverage": coverage.json, "exact_match": exactMatch.json],
    ]
  }
}
