import Evaluation
public import Topics

/// The gate: measured answers in, a verdict with its evidence out.
public enum Gate {
  /// Whether each gate sample was answered exactly, in the same order for every subject.
  public struct Measurements: Sendable {
    /// The shipped file.
    public var candidate: [Bool]
    /// The unpruned, unquantized student that it was made from.
    public var parent: [Bool]
    /// The release that serves now.
    public var incumbent: [Bool]?
    /// The release with the best exact match so far, where that is another than the incumbent.
    public var best: [Bool]?

    /// Measurements on the same samples.
    public init(candidate: [Bool], parent: [Bool], incumbent: [Bool]? = nil, best: [Bool]? = nil) {
      self.candidate = candidate
      self.parent = parent
      self.incumbent = incumbent
      self.best = best
    }
  }

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
  /// Paired on the same samples: the interval of a difference is Newcombe's hybrid score interval for paired proportions
  /// (Newcombe 1998, Statistics in Medicine 17:2635, method 10), at 95 %.
  public static func verdict(_ measurements: Measurements, policy: GatePolicy = GatePolicy()) -> Verdict {
    var failed: [String] = []
    var passed: [String] = []
    let n = measurements.candidate.count
    let exact = Interval.wilson(successes: measurements.candidate.count { $0 }, trials: n)
    var evidence = [measured("exact_match", exact, n: n, .candidate)]
    func rule(_ holds: Bool, _ sentence: String) {
      if holds { passed.append(sentence) } else { failed.append(sentence) }
    }
    rule(n >= policy.minimumSamples, "There are \(n) gate samples; \(policy.minimumSamples) are needed.")
    rule(
      exact.estimate >= policy.floor,
      "The candidate is exactly right on \(percent(exact.estimate)); the floor is \(percent(policy.floor)).")
    let others = [measurements.parent, measurements.incumbent, measurements.best].compactMap(\.self)
    if others.contains(where: { $0.count != n }) {
      rule(false, "The models answered different numbers of gate samples, so that they cannot be compared in pairs.")
      return Verdict(isPromoted: false, reasons: failed + passed, evidence: evidence)
    }

    let parent = compare(measurements.candidate, measurements.parent, .parent, &evidence)
    rule(
      parent.estimate >= -policy.compressionMargin || parent.upper >= 0,
      "Against the unpruned parent it is \(points(parent)); a loss of \(percent(policy.compressionMargin)) is allowed.")
    if let incumbent = measurements.incumbent {
      let difference = compare(measurements.candidate, incumbent, .incumbent, &evidence)
      rule(
        difference.estimate >= 0 || difference.lower > -policy.margin,
        "Against the incumbent it is \(points(difference)); the margin is \(percent(policy.margin)).")
    } else {
      passed.append("There is no incumbent to compare it with.")
    }
    if let best = measurements.best {
      let difference = compare(measurements.candidate, best, .best, &evidence)
      rule(
        difference.estimate >= -policy.bestMargin,
        "Against the best release so far it is \(points(difference)); a loss of \(percent(policy.bestMargin)) is allowed."
      )
    }
    return Verdict(isPromoted: failed.isEmpty, reasons: failed + passed, evidence: evidence)
  }

  private static func compare(
    _ candidate: [Bool], _ other: [Bool], _ subject: Evidence.Subject, _ evidence: inout [Evidence]
  ) -> Interval {
    let exact = Interval.wilson(successes: other.count { $0 }, trials: other.count)
    let difference = PairedComparison(first: candidate, second: other).difference()
    evidence.append(measured("exact_match", exact, n: other.count, subject))
    evidence.append(measured("exact_match_difference", difference, n: other.count, subject))
    return difference
  }

  private static func measured(
    _ metric: String, _ interval: Interval, n: Int, _ subject: Evidence.Subject
  ) -> Evidence {
    Evidence(
      metric: metric, value: interval.estimate, n: n, low: min(interval.lower, interval.estimate),
      high: max(interval.upper, interval.estimate), subject: subject)
  }

  private static func percent(_ share: Double) -> String {
    let tenths = (share * 1_000).rounded() / 10
    return "\(tenths) %"
  }

  private static func points(_ interval: Interval) -> String {
    func signed(_ value: Double) -> String {
      let tenths = (value * 1_000).rounded() / 10
      return tenths < 0 ? "−\(-tenths)" : "+\(tenths)"
    }
    return "\(signed(interval.estimate)) points (\(signed(interval.lower)) to \(signed(interval.upper)))"
  }
}
