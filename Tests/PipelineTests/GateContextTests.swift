import Pipeline
import Testing
import Topics

@Suite("The gate's window and its sequence of verdicts") struct GateContextTests {
  private static func entry(_ offset: Int64, teacher: String = "t/1", changed: Bool = false) -> GateWindow.Entry {
    .init(
      sample: MeasuredSample(id: "\(offset)", messages: [.user("x")], call: Call(name: "f", arguments: [:])),
      offset: offset, teacher: teacher, hasChanged: changed)
  }

  private static func time(_ second: Int) -> String { RFC3339.text(milliseconds: Int64(second) * 1_000) }

  private static func release(
    _ version: Int, promoted: Bool, to offset: Int64, of topic: String? = nil, second: Int = 0, parent: Manifest? = nil,
    difference: Double = 0
  ) -> (manifest: Manifest, verdict: ReleaseVerdict?) {
    let evidence = Evidence(metric: "exact_match_difference", value: difference, n: 100, subject: .incumbent)
    let manifest = Manifest(
      model: "m", version: version, files: [],
      architecture: Architecture(
        layers: 1, hiddenSize: 32, heads: 1, keyValueHeads: 1, feedForwardSize: 32, vocabularySize: 300,
        maximumPositions: 64), parameters: 1, quantization: "none", tokenizerDigest: .sha256([]), template: "t",
      functionsDigest: .sha256([]), minimumRuntime: "1", parent: parent?.digest,
      lineage: Lineage(
        base: nil, chain: .sha256([]), topic: topic, fromOffset: 0, toOffset: offset, samples: 1, recipe: .sha256([]),
        seed: 0, numerics: "n", code: "c", teachers: []), evidence: parent == nil ? [] : [evidence], licence: "none",
      created: "2026-01-01T00:00:00Z")
    let verdict = ReleaseVerdict(
      model: "m", version: version, manifestDigest: manifest.digest, promoted: promoted, reasons: ["Because."],
      evidence: [], time: time(second))
    return (manifest, verdict)
  }

  @Test("a window is the newest samples, and says who labelled them and what was labelled anew")
  func window() {
    let entries = (0..<10).map { Self.entry(Int64($0), teacher: $0 < 6 ? "t/1" : "t/2", changed: $0 == 9) }
    let window = GateWindow(entries, limit: 8)
    #expect(window.samples.map(\.id) == ["2", "3", "4", "5", "6", "7", "8", "9"])
    #expect(window.share(from: 6) == 0.5)
    #expect(GateWindow([], limit: 8).share(from: 0) == 0)
    let evidence = window.labelEvidence
    #expect(evidence.map { $0.extra["teacher"]?.stringValue } == ["t/1", "t/2"])
    #expect(evidence.map(\.value) == [0, 0.25])
    #expect(evidence.map(\.n) == [4, 4])
  }

  @Test("every rejected candidate since the incumbent was deployed is a try, however new the window's samples are")
  func looks() {
    let history = [
      Self.release(1, promoted: true, to: 10, second: 1), Self.release(2, promoted: false, to: 20, second: 2),
      Self.release(3, promoted: true, to: 30, second: 3), Self.release(4, promoted: false, to: 40, second: 4),
      Self.release(5, promoted: false, to: 90, second: 5),
    ]
    func deployed(_ version: Int, second: Int) -> DeploymentRecord {
      DeploymentRecord(
        epoch: 1, action: .promote, manifest: history[version - 1].manifest, reason: "", time: Self.time(second))
    }
    func look(_ deployed: DeploymentRecord?) -> Int {
      let window = GateWindow((0..<100).map { Self.entry($0) }, limit: 5)
      return GateContext(history: history, deployed: deployed, window: window).look
    }
    #expect(look(nil) == 1)
    #expect(look(deployed(3, second: 3)) == 3)
    // Taken back, or promoted by hand: what was tried against others does not count.
    #expect(look(deployed(1, second: 6)) == 1)
    #expect(look(deployed(4, second: 5)) == 2)
    let context = GateContext(
      history: history, deployed: deployed(3, second: 3),
      window: GateWindow((0..<40).map { Self.entry($0) }, limit: 1_000))
    #expect(context.evidence.first { $0.metric == "gate_fresh_share" }?.value == 0.25)
  }

  @Test("the window reaches as far as any release before, also for the early points of a student that starts over")
  func reach() {
    let history = [
      Self.release(1, promoted: true, to: 30), Self.release(2, promoted: false, to: 60),
      Self.release(3, promoted: true, to: 900, of: "retort.relabel.bigger.samples"),
      Self.release(4, promoted: true, to: 20),
    ]
    let manifests = history.map(\.manifest)
    #expect(GateWindow.end(of: 20, after: []) == 20)
    #expect(GateWindow.end(of: 20, after: manifests) == 60)
    #expect(GateWindow.end(of: 70, after: manifests) == 70)
    // What the incumbent was measured on is not fresh, though its student had not come so far.
    let deployed = DeploymentRecord(
      epoch: 1, action: .promote, manifest: manifests[3], reason: "", time: Self.time(4))
    let context = GateContext(
      history: history, deployed: deployed, window: GateWindow((0..<80).map { Self.entry($0) }, limit: 1_000))
    #expect(context.evidence.first { $0.metric == "gate_fresh_share" }?.value == 0.25)
  }

  @Test("the best release is found by whom each was compared with, not by which came before")
  func best() {
    let first = Self.release(1, promoted: true, to: 10)
    let second = Self.release(2, promoted: true, to: 20, parent: first.manifest, difference: 0.05)
    #expect(GateContext.best(of: []) == nil)
    #expect(GateContext.best(of: [first])?.version == 1)
    #expect(GateContext.best(of: [first, second])?.version == 2)
    // Taken back to version 1: the third stands one point above that, four below the second.
    let third = Self.release(3, promoted: true, to: 30, parent: first.manifest, difference: 0.01)
    #expect(GateContext.best(of: [first, second, third])?.version == 2)
    // A rejected one that was deployed by hand is nobody's best, but what came after it stands on it.
    let rejected = Self.release(4, promoted: false, to: 40, parent: second.manifest, difference: -0.04)
    let fifth = Self.release(5, promoted: true, to: 50, parent: rejected.manifest, difference: 0.03)
    #expect(GateContext.best(of: [first, second, third, rejected, fifth])?.version == 2)
    let sixth = Self.release(6, promoted: true, to: 60, parent: fifth.manifest, difference: 0.02)
    #expect(GateContext.best(of: [first, second, third, rejected, fifth, sixth])?.version == 6)
  }
}
