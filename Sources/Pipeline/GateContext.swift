import Evaluation
import Releases
package import Topics

/// Where a verdict stands in the sequence of verdicts: which try it is, and on how many samples that no earlier one saw.
package struct GateContext {
  /// Which try against this incumbent on these samples, from 1.
  package let look: Int
  /// What the manifest says about the window beside the verdict's own evidence.
  package let evidence: [Evidence]

  /// From a model's history.
  ///
  /// Every rejected candidate since the incumbent was deployed is a try, also where the window's samples are others by now: each had its chance
  /// to pass, and the level is for all of them.
  ///
  /// - Parameters:
  ///   - history: every release of the incumbent's name, oldest first.
  ///   - deployed: what serves; nil for none.
  ///   - window: the gate samples of this verdict.
  package init(
    history: [(manifest: Manifest, verdict: ReleaseVerdict?)], deployed: DeploymentRecord?, window: GateWindow
  ) {
    let start = deployed.flatMap { RFC3339.milliseconds(of: $0.time) }
    let tries = history.filter { entry in
      guard let start, let verdict = entry.verdict, !verdict.promoted else { return false }
      return RFC3339.milliseconds(of: verdict.time).map { $0 >= start } ?? true
    }
    look = tries.count + 1
    var evidence: [Evidence] = []
    if let deployed, let incumbent = history.firstIndex(where: { $0.manifest.version == deployed.manifest.version }) {
      // Up to there the incumbent was measured itself.
      let end = GateWindow.end(of: 0, after: history[...incumbent].map(\.manifest))
      evidence.append(
        Evidence(
          metric: "gate_fresh_share", value: window.share(from: end), n: window.samples.count, subject: .incumbent))
    }
    self.evidence = evidence + window.labelEvidence
  }

  /// The promoted release that stands highest by the differences from each to the one that was deployed when it was measured,
  /// its parent: after a rollback, or a promotion by hand, that is another than the release before.
  ///
  /// Each was measured between two models on the same samples, so that they add up whatever became of the traffic; shares of right
  /// answers, each of a window of its own, do not compare.
  package static func best(of history: [(manifest: Manifest, verdict: ReleaseVerdict?)]) -> Manifest? {
    var levels: [Digest: Double] = [:]
    var best: (manifest: Manifest, level: Double)?
    for (manifest, verdict) in history {
      let difference = manifest.evidence.first {
        $0.subject == .incumbent && $0.metric == "exact_match_difference"
      }
      let level = (manifest.parent.flatMap { levels[$0] } ?? 0) + (difference?.value ?? 0)
      levels[manifest.digest] = level
      guard verdict?.promoted == true else { continue }
      if best.map({ level > $0.level }) ?? true { best = (manifest, level) }
    }
    return best?.manifest
  }
}
