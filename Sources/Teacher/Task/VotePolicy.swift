package import Topics

/// Self-consistency: several samples of one request, accepted when enough of them agree as objects.
///
/// Reference: X. Wang et al., "Self-Consistency Improves Chain of Thought Reasoning", 2022, arXiv 2203.11171.
/// We count whole calls, and invalid samples count against every call.
public struct VotePolicy: Sendable, Hashable {
  /// Samples drawn, 1…32. Default 1.
  public var samples: Int
  /// The share of all samples that must give the winning call, in (0, 1]. Default 0.5. Two calls with the same
  /// number of votes never win.
  public var agreement: Double

  /// Makes a policy.
  public init(samples: Int = 1, agreement: Double = 0.5) {
    self.samples = samples
    self.agreement = agreement
  }

  var json: JSON { ["samples": .integer(Int64(samples)), "agreement": .number(agreement)] }

  func validate() throws(TeacherError) {
    try TeacherConfiguration.require("task.votes.samples", 1...32, samples)
    guard agreement > 0, agreement <= 1 else {
      throw TeacherError(
        .invalidConfiguration, subject: "task.votes.agreement", expected: "a share above 0 and at most 1",
        found: "\(agreement)")
    }
  }

  /// The winner among `calls` (nil: an invalid sample), if there is one.
  package func winner(of calls: [Call?]) -> (call: Call, votes: Votes)? {
    var counts: [Call: Int] = [:]
    for case let call? in calls { counts[call, default: 0] += 1 }
    guard let best = counts.max(by: { $0.value < $1.value }),
      counts.values.filter({ $0 == best.value }).count == 1,
      Double(best.value) >= agreement * Double(calls.count) - 1e-9
    else { return nil }
    return (best.key, Votes(agree: best.value, of: calls.count))
  }
}
