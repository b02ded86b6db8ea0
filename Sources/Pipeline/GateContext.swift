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
  /// A rejected candidate counts as a try while half of the window's samples were its own too: once the window has moved
  /// on, its verdict says nothing about them.
  ///
  /// - Parameters:
  ///   - history: every release of the incumbent's name, oldest first.
  ///   - deployed: the version that serves; nil for none.
  ///   - window: the gate samples of this verdict.
  package init(history: [(manifest: Manifest, verdict: ReleaseVerdict?)], deployed: Int?, window: GateWindow) {
    let tries = history.filter { entry in
      guard let deployed, entry.verdict?.promoted == false, entry.manifest.version > deployed else { return false }
      return window.share(from: entry.manifest.lineage.toOffset) < 0.5
    }
    look = tries.count + 1
    var evidence: [Evidence] = []
    if let deployed, let incumbent = history.first(where: { $0.manifest.version == deployed }) {
      evidence.append(
        Evidence(
          metric: "gate_fresh_share", value: window.share(from: incumbent.manifest.lineage.toOffset),
          n: window.samples.count, subject: .incumbent))
    }
    self.evidence = evidence + window.labelEvidence
  }
}
