import Releases
import Testing
import Topics

@Suite("The gate")
struct GateTests {
  /// `n` answers of which the first `right` are right.
  private static func answers(_ right: Int, of n: Int) -> [Bool] { (0..<n).map { $0 < right } }

  private static func verdict(
    _ candidate: [Bool], parent: [Bool]? = nil, incumbent: [Bool]? = nil, best: [Bool]? = nil,
    policy: GatePolicy = GatePolicy()
  ) -> Gate.Verdict {
    Gate.verdict(
      Gate.Measurements(candidate: candidate, parent: parent ?? candidate, incumbent: incumbent, best: best),
      policy: policy)
  }

  @Test("A first release needs no incumbent")
  func first() {
    let verdict = Self.verdict(Self.answers(90, of: 100))
    #expect(verdict.isPromoted)
    #expect(verdict.evidence.contains { $0.subject == .candidate && $0.metric == "exact_match" && $0.value == 0.9 })
    #expect(verdict.evidence.allSatisfy { ($0.low ?? 0) <= $0.value && $0.value <= ($0.high ?? 1) })
  }

  @Test("Fewer samples than the minimum never promote, not even none")
  func minimum() {
    #expect(!Self.verdict(Self.answers(99, of: 99)).isPromoted)
    let none = Self.verdict([], incumbent: [], best: [])
    #expect(!none.isPromoted && none.reasons.first?.hasPrefix("There are 0 gate samples") == true)
    // 0 of 0 is no figure.
    #expect(none.evidence.isEmpty && none.reasons.count == 1, "\(none.reasons)")
    #expect(Self.verdict(Self.answers(9, of: 10), policy: GatePolicy(minimumSamples: 10)).isPromoted)
  }

  @Test("The floor holds for everyone")
  func floor() {
    #expect(!Self.verdict(Self.answers(70, of: 200), policy: GatePolicy(floor: 0.5)).isPromoted)
    #expect(Self.verdict(Self.answers(100, of: 200), policy: GatePolicy(floor: 0.5)).isPromoted)
  }

  @Test("As good as the incumbent or better is promoted; clearly worse is not")
  func incumbent() {
    let incumbent = Self.answers(900, of: 1_000)
    #expect(Self.verdict(incumbent, incumbent: incumbent).isPromoted)
    #expect(Self.verdict(Self.answers(910, of: 1_000), incumbent: incumbent).isPromoted)
    #expect(!Self.verdict(Self.answers(850, of: 1_000), incumbent: incumbent).isPromoted)
    // A point worse, and the interval reaches below the margin: not promoted.
    var scattered = incumbent
    for index in stride(from: 0, to: 600, by: 12) { scattered[index] = false }
    for index in 900..<940 { scattered[index] = true }
    #expect(!Self.verdict(scattered, incumbent: incumbent).isPromoted)
    // Worse by 4 in 10,000 with nothing else in disagreement: the interval lies within the margin.
    let many = Self.answers(9_000, of: 10_000)
    #expect(Self.verdict(Self.answers(8_996, of: 10_000), incumbent: many).isPromoted)
  }

  @Test("Compression may cost two points, or what the interval cannot tell from nothing")
  func parent() {
    let candidate = Self.answers(900, of: 1_000)
    #expect(Self.verdict(candidate, parent: Self.answers(918, of: 1_000)).isPromoted)
    #expect(!Self.verdict(candidate, parent: Self.answers(950, of: 1_000)).isPromoted)
  }

  @Test("Small steps down do not add up: the best release ever is a bound")
  func best() {
    let candidate = Self.answers(900, of: 1_000)
    let incumbent = Self.answers(900, of: 1_000)
    #expect(Self.verdict(candidate, incumbent: incumbent, best: Self.answers(925, of: 1_000)).isPromoted)
    let verdict = Self.verdict(candidate, incumbent: incumbent, best: Self.answers(940, of: 1_000))
    #expect(!verdict.isPromoted)
    #expect(verdict.reasons.first?.contains("best") == true)
  }

  @Test("Answers to different questions cannot be compared, so they are not")
  func unpaired() {
    let candidate = Self.answers(200, of: 200)
    #expect(!Self.verdict(candidate, parent: Self.answers(150, of: 150)).isPromoted)
    #expect(!Self.verdict(candidate, incumbent: Self.answers(10, of: 10)).isPromoted)
    #expect(!Self.verdict(candidate, best: []).isPromoted)
  }

  @Test("Reasons are sentences, those that failed first, and fit into a verdict record")
  func reasons() throws {
    let verdict = Self.verdict(
      Self.answers(80, of: 100), parent: Self.answers(95, of: 100), incumbent: Self.answers(90, of: 100),
      best: Self.answers(92, of: 100))
    #expect(!verdict.isPromoted)
    for reason in verdict.reasons {
      #expect(reason.first?.isUppercase == true && reason.hasSuffix("."), "\(reason)")
    }
    let record = ReleaseVerdict(
      model: "home", version: 1, manifestDigest: .sha256("m"), promoted: verdict.isPromoted, reasons: verdict.reasons,
      evidence: verdict.evidence, time: "2026-03-02T08:00:00Z")
    #expect(try ReleaseRecord(json: ReleaseRecord(verdict: record).json).verdict == record)
    #expect(ReleaseRecord.topic.schema.violations(of: ReleaseRecord(verdict: record).json) == [])
  }
}
