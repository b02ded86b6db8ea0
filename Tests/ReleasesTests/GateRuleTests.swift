import Evaluation
import Releases
import Testing
import Topics

/// The gate's rules beside the comparison of whole calls.
@Suite("The gate's further rules")
struct GateRuleTests {
  private static func answers(_ right: Int, of n: Int) -> [Bool] { (0..<n).map { $0 < right } }

  /// `n` answers that are wrong at every `step`-th place from `start`.
  private static func wrong(every step: Int, from start: Int = 0, of n: Int) -> [Bool] {
    (0..<n).map { $0 < start || ($0 - start) % step != 0 }
  }

  @Test("The level is spent over the tries against one incumbent, and never more than alpha")
  func spending() {
    let policy = GatePolicy(alpha: 0.4)
    #expect(policy.level(ofLook: 1) == 0.2)
    #expect(abs(policy.level(ofLook: 2) - 0.4 / 6) < 1e-12)
    #expect((1...10_000).reduce(0) { $0 + policy.level(ofLook: $1) } < 0.4)
    // One-sided quantiles: Φ(0.8416) = 0.8, Φ(1.9600) = 0.975, Φ(−1.2816) = 0.1.
    #expect(abs(Interval.normalQuantile(0.8) - 0.841621) < 1e-5)
    #expect(abs(Interval.normalQuantile(0.975) - Interval.z95) < 1e-9)
    #expect(abs(Interval.normalQuantile(0.1) + 1.281552) < 1e-5)
  }

  @Test("What passes at the first try must be more convincing at the third")
  func looks() {
    // 400 samples; the two disagree on 26, by halves: the standard error is √26 / 400 = 1.3 points.
    let incumbent = Self.answers(360, of: 400)
    var candidate = incumbent
    for index in 0..<13 { candidate[index * 9] = false }
    for index in 360..<373 { candidate[index] = true }
    func promoted(look: Int) -> Bool {
      Gate.verdict(.init(candidate: candidate, parent: candidate, incumbent: incumbent, look: look)).isPromoted
    }
    #expect(promoted(look: 1))
    #expect(!promoted(look: 3))
    let verdict = Gate.verdict(.init(candidate: candidate, parent: candidate, incumbent: incumbent, look: 3))
    #expect(verdict.reasons.first?.contains("try 3") == true)
    #expect(verdict.evidence.contains { $0.metric == "gate_look" && $0.value == 3 })
    // However many tries there were, a level is left, and it is said.
    let thirtieth = Gate.verdict(.init(candidate: candidate, parent: candidate, incumbent: incumbent, look: 30))
    #expect(thirtieth.reasons.contains { $0.contains("at the level 0.04 %") }, "\(thirtieth.reasons)")
    #expect(thirtieth.reasons.first?.contains("texts that were trained on are left out") == true)
    // A clear improvement passes at any try.
    let better = Gate.verdict(
      .init(
        candidate: Self.answers(390, of: 400), parent: Self.answers(390, of: 400), incumbent: incumbent, look: 8))
    #expect(better.isPromoted)
  }

  @Test("A difference that rounds to nothing is +0.0 points")
  func nothing() {
    let parent = Self.answers(3_600, of: 4_000)
    var candidate = parent
    candidate[0] = false
    let verdict = Gate.verdict(.init(candidate: candidate, parent: parent, incumbent: parent))
    #expect(verdict.reasons.contains { $0.contains("it is +0.0 points") }, "\(verdict.reasons)")
    #expect(!verdict.reasons.contains { $0.contains("+-") })
  }

  @Test("Compression may cost up to twice the margin where few samples tell nothing apart, and no more")
  func compression() {
    // 368 samples, 331 right before: losing 11 and winning 2 is −2.4 points and significant to nobody; losing 19 and winning 2 is not.
    func verdict(lost: Int, won: Int) -> Gate.Verdict {
      let parent = Self.answers(331, of: 368)
      var candidate = parent
      for index in 0..<lost { candidate[index * 15] = false }
      for index in 331..<331 + won { candidate[index] = true }
      return Gate.verdict(.init(candidate: candidate, parent: parent))
    }
    #expect(verdict(lost: 8, won: 1).isPromoted)
    #expect(verdict(lost: 15, won: 6).isPromoted)
    #expect(!verdict(lost: 19, won: 2).isPromoted)
    // 100 samples, −5 points: the interval reaches 0, but that is ignorance and not evidence.
    let parent = Self.answers(90, of: 100)
    var candidate = parent
    for index in 0..<8 { candidate[index] = false }
    for index in 90..<93 { candidate[index] = true }
    let small = Gate.verdict(.init(candidate: candidate, parent: parent))
    #expect(!small.isPromoted)
    #expect(small.evidence.contains { $0.metric == "exact_match_difference" && ($0.high ?? -1) >= 0 })
  }

  @Test("A function that breaks is seen though the whole is better, and rare functions are seen together")
  func slices() throws {
    // 600 samples: 300 lights, 240 timers, and six functions with ten each.
    var functions = [String](repeating: "light", count: 300) + [String](repeating: "timer", count: 240)
    for rare in 0..<6 { functions += [String](repeating: "rare\(rare)", count: 10) }
    let incumbent = (0..<600).map { $0 >= 60 }
    var better = [Bool](repeating: true, count: 600)
    func verdict(_ candidate: [Bool]) -> Gate.Verdict {
      Gate.verdict(.init(candidate: candidate, parent: candidate, incumbent: incumbent, functions: functions))
    }
    #expect(verdict(better).isPromoted)
    for index in 300..<330 { better[index] = false }
    let timer = verdict(better)
    #expect(!timer.isPromoted)
    #expect(timer.reasons.first?.contains("timer −12.5 points of 240") == true, "\(timer.reasons)")
    // Three wrong of ten on each rare function: no slice of ten shows it, all sixty do.
    var rare = [Bool](repeating: true, count: 600)
    for index in 540..<600 where index % 10 < 3 { rare[index] = false }
    #expect(verdict(rare).reasons.first?.contains("rare functions −30.0 points of 60") == true)
    let entries = verdict(rare).evidence.filter { $0.metric == "slice_difference" && $0.subject == .incumbent }
    #expect(entries.map(\.function) == ["light", "timer", "rare functions"])
    let entry = try #require(entries.last)
    let lost = PairedComparison(both: 42, onlyFirst: 0, onlySecond: 18, neither: 0).difference()
    #expect(entry.low == lost.lower && entry.high == lost.upper, "of 95 %, whatever the level that decides")
    #expect(try Evidence(json: entry.json) == entry)
  }

  @Test("Of very many functions a verdict notes those that lost most, as many as its topic allows, and judges all")
  func manyFunctions() throws {
    let functions = (0..<1_200).map { "f\($0 / 2)" }
    let incumbent = [Bool](repeating: true, count: 1_200)
    var candidate = incumbent
    for index in 1_190..<1_200 { candidate[index] = false }
    var policy = GatePolicy()
    policy.sliceMinimum = 1
    let verdict = Gate.verdict(
      .init(candidate: candidate, parent: candidate, incumbent: incumbent, functions: functions), policy: policy)
    let noted = verdict.evidence.filter { $0.metric == "slice_difference" && $0.subject == .incumbent }
    #expect(verdict.evidence.count < 1_000 && noted.count == 400)
    #expect(noted.filter { $0.value == -1 }.map(\.function) == (595..<600).map { "f\($0)" })
  }

  @Test("Equal models seldom fail for a slice: the level is shared by all slices")
  func falseAlarms() {
    let functions = (0..<1_000).map { "f\($0 % 20)" }
    var alarms = 0
    for run in 0..<200 {
      func outcomes(_ salt: Int) -> [Bool] {
        (0..<1_000).map { index in
          let bytes = Digest.sha256("\(run)/\(salt)/\(index)").bytes
          return bytes[0] >= 26
        }
      }
      let verdict = Gate.verdict(
        .init(candidate: outcomes(1), parent: outcomes(2), functions: functions),
        policy: GatePolicy(compressionMargin: 1))
      if !verdict.isPromoted { alarms += 1 }
    }
    // At most 5 % of 200, and four standard errors.
    #expect(alarms <= 22, "\(alarms)")
    // With an incumbent besides there are twice the comparisons and no more alarms.
    var more = 0
    for run in 0..<200 {
      func outcomes(_ salt: Int) -> [Bool] {
        (0..<600).map { index in Digest.sha256("\(run)/\(salt)/\(index)").bytes[0] >= 40 }
      }
      let verdict = Gate.verdict(
        .init(
          candidate: outcomes(1), parent: outcomes(2), incumbent: outcomes(3), functions: (0..<600).map { "f\($0 % 2)" }
        ),
        policy: GatePolicy(margin: 1, compressionMargin: 1))
      if !verdict.isPromoted { more += 1 }
    }
    #expect(more <= 22, "\(more)")
  }

  @Test("Traffic that repeats itself does not keep a better release out, nor the same one")
  func repeatedTraffic() {
    // 1,200 gate samples of texts that are asked with frequencies of 1/rank.
    var clusters: [String] = []
    for rank in 1...400 { clusters += [String](repeating: "\(rank)", count: max(1, 183 / rank)) }
    let weights = SampleWeights([Double](repeating: 1, count: clusters.count), clusters: clusters)
    let incumbent = clusters.map { (Int($0) ?? 0) % 6 != 5 }
    func verdict(_ wrong: Int, look: Int) -> Gate.Verdict {
      let candidate = clusters.map { (Int($0) ?? 0) % wrong != wrong - 1 }
      return Gate.verdict(
        .init(candidate: candidate, parent: candidate, incumbent: incumbent, weights: weights, look: look))
    }
    for look in 1...6 { #expect(verdict(6, look: look).isPromoted, "\(verdict(6, look: look).reasons)") }
    #expect(verdict(12, look: 5).isPromoted, "\(verdict(12, look: 5).reasons)")
    #expect(!verdict(5, look: 1).isPromoted)
  }

  @Test("Garbage is no valid call where the parent has one, or one call for everything")
  func probes() {
    func promoted(_ candidate: Gate.Measurements.ProbeAnswers, _ parent: Gate.Measurements.ProbeAnswers) -> Bool {
      let right = Self.answers(190, of: 200)
      return Gate.verdict(.init(candidate: right, parent: right, probes: (candidate, parent))).isPromoted
    }
    let good = Gate.Measurements.ProbeAnswers(count: 12, valid: 12, distinct: 9)
    #expect(promoted(good, good))
    #expect(promoted(.init(count: 12, valid: 12, distinct: 8), good))
    #expect(!promoted(.init(count: 12, valid: 11, distinct: 9), good))
    #expect(!promoted(.init(count: 12, valid: 12, distinct: 1), good))
    #expect(promoted(.init(count: 12, valid: 3, distinct: 1), .init(count: 12, valid: 3, distinct: 1)))
  }

  @Test("Budgets of latency and size hold where they are set")
  func budgets() {
    let right = Self.answers(190, of: 200)
    func verdict(_ policy: GatePolicy) -> Gate.Verdict {
      Gate.verdict(.init(candidate: right, parent: right, latency: 2.5, bytes: 3_000_000), policy: policy)
    }
    #expect(verdict(GatePolicy()).isPromoted)
    #expect(verdict(GatePolicy(maximumLatency: 2.5, maximumBytes: 3_000_000)).isPromoted)
    #expect(verdict(GatePolicy(maximumLatency: 2)).reasons.first?.contains("2.5 ms") == true)
    #expect(!verdict(GatePolicy(maximumBytes: 2_999_999)).isPromoted)
  }

  @Test("Verdicts are on the traffic: samples that stand for more count more")
  func weights() {
    // Right on the 100 easy ones that stand for nine requests each, wrong on half of 100 hard ones.
    let candidate = (0..<200).map { $0 < 150 }
    let weights = SampleWeights((0..<200).map { $0 < 100 ? 9.0 : 1.0 })
    let verdict = Gate.verdict(
      .init(candidate: candidate, parent: candidate, weights: weights), policy: GatePolicy(floor: 0.9))
    #expect(verdict.isPromoted)
    #expect(abs((verdict.evidence.first { $0.metric == "exact_match" }?.value ?? 0) - 0.95) < 1e-12)
    #expect(!Gate.verdict(.init(candidate: candidate, parent: candidate), policy: GatePolicy(floor: 0.9)).isPromoted)
  }
}
