public import Topics

/// The gate: measured answers in, a verdict with its evidence out.
public enum Gate {
  /// Promote or not, why, and the figures.
  public struct Verdict: Sendable, Hashable {
    /// Whether the candidate may serve.
    public let isPromoted: Bool
    /// One sentence for each rule, those that failed first.
    public let reasons: [String]
    /// Exact match of each subject and paired differences, with 95 % intervals.
    public let evidence: [Evidence]
  }

  /// Judges a candidate.
  ///
  /// Paired on the same samples, which are weighted by the inverse of the probability of their draw: the interval of a
  /// difference is Newcombe's hybrid score interval for paired proportions (Newcombe 1998, Statistics in Medicine 17:2635,
  /// method 10).
  public static func verdict(_ measurements: Measurements, policy: GatePolicy = GatePolicy()) -> Verdict {
    var judge = GateJudge(measurements, policy)
    guard judge.samplesAreEnough() else { return judge.verdict }
    // Without any there are no figures: 0 of 0 is none.
    if !measurements.candidate.isEmpty {
      judge.compareWithParent()
      judge.compareWithIncumbent()
      judge.compareWithBest()
      judge.compareSlices()
    }
    judge.askProbes()
    judge.measureCost()
    return judge.verdict
  }
}
