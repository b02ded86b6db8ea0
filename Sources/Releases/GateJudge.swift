import Evaluation
import Topics

/// The rules of the gate, one after another, with what each found.
struct GateJudge {
  private let measured: Gate.Measurements
  private let policy: GatePolicy
  private var failed: [String] = []
  private var passed: [String] = []
  private var evidence: [Evidence] = []

  init(_ measurements: Gate.Measurements, _ policy: GatePolicy) {
    measured = measurements
    self.policy = policy
  }

  var verdict: Gate.Verdict {
    Gate.Verdict(isPromoted: failed.isEmpty, reasons: failed + passed, evidence: evidence)
  }

  private mutating func rule(_ holds: Bool, _ sentence: String) {
    if holds { passed.append(sentence) } else { failed.append(sentence) }
  }

  // MARK: - Whole calls

  /// The minimum and the floor; whether the models were asked the same.
  mutating func samplesAreEnough() -> Bool {
    let n = measured.candidate.count
    let distinct = measured.weights.distinctCount
    rule(
      distinct >= policy.minimumSamples,
      distinct < n
        ? "There are \(n) gate samples, of \(distinct) different requests; \(policy.minimumSamples) different ones are needed."
        : "There are \(n) gate samples; \(policy.minimumSamples) are needed.")
    let lists = [measured.parent, measured.incumbent, measured.best].compactMap(\.self).map(\.count)
    guard (lists + [measured.weights.count]).allSatisfy({ $0 == n }) else {
      rule(false, "The models answered different numbers of gate samples, so that they cannot be compared in pairs.")
      return false
    }
    guard n > 0 else { return true }
    let exact = measured.weights.share { measured.candidate[$0] }
    note("exact_match", exact, .candidate)
    rule(
      exact.estimate >= policy.floor,
      "The candidate is exactly right on \(Self.percent(exact.estimate)); the floor is \(Self.percent(policy.floor)).")
    return true
  }

  /// Compression may cost the margin; where so few samples tell nothing apart, up to twice of it.
  mutating func compareWithParent() {
    let difference = compare(measured.parent, .parent)
    let margin = policy.compressionMargin
    rule(
      difference.estimate >= -margin || difference.upper >= 0 && difference.estimate >= -2 * margin,
      "Against the unpruned parent it is \(Self.points(difference)); a loss of \(Self.percent(margin)) is allowed, "
        + "and of \(Self.percent(2 * margin)) where it cannot be told from none.")
  }

  /// Not worse than what serves, by a test whose level is spent over the tries against it.
  mutating func compareWithIncumbent() {
    guard let incumbent = measured.incumbent else {
      passed.append("There is no incumbent to compare it with.")
      return
    }
    let difference = compare(incumbent, .incumbent)
    rule(
      difference.estimate >= 0 || difference.lower > -policy.margin,
      "Against the incumbent it is \(Self.points(difference)); the margin is \(Self.percent(policy.margin)).")
    let level = policy.level(ofLook: measured.look)
    let bound = paired(incumbent, z: Interval.normalQuantile(1 - level)).lower
    evidence.append(
      Evidence(metric: "gate_look", value: Double(measured.look), n: measured.candidate.count, subject: .incumbent))
    let isSure = bound > -policy.margin
    rule(
      isSure,
      "This is try \(measured.look) against this incumbent: at the level \(Self.small(level)) that is left for it, "
        + "the candidate is at worst \(Self.signed(bound)) points."
        + (isSure
          ? ""
          : " More gate samples tell better: more labels, or a larger split.gate, where texts that were trained on are left "
            + "out; models promote begins the count anew."))
  }

  mutating func compareWithBest() {
    guard let best = measured.best else { return }
    let difference = compare(best, .best)
    rule(
      difference.estimate >= -policy.bestMargin,
      "Against the best release so far it is \(Self.points(difference)); a loss of \(Self.percent(policy.bestMargin)) is "
        + "allowed.")
  }

  // MARK: - Slices

  private static let notedSlices = 400

  /// On no function, and not on the rare ones together, clearly worse than the parent or the incumbent.
  mutating func compareSlices() {
    let slices = self.slices
    guard !slices.isEmpty else { return }
    let rivals = [(Evidence.Subject.parent, measured.parent)] + (measured.incumbent.map { [(.incumbent, $0)] } ?? [])
    let z = Interval.normalQuantile(1 - policy.sliceAlpha / Double(slices.count * rivals.count))
    for (subject, other) in rivals {
      let found = slices.map {
        (name: $0.name, indices: $0.indices, difference: paired(other, on: $0.indices, z: z))
      }
      // A verdict holds as much evidence as its topic allows: of very many functions those that lost most.
      let noted = Set(
        found.indices.sorted { (found[$0].difference.upper, $0) < (found[$1].difference.upper, $1) }.prefix(
          Self.notedSlices))
      for slice in found.indices.filter(noted.contains).map({ found[$0] }) {
        // What decides is of the level that all slices share; what is noted is of 95 %, as all evidence.
        let difference = paired(other, on: slice.indices)
        evidence.append(
          Evidence(
            metric: "slice_difference", value: difference.estimate, n: slice.indices.count,
            low: min(difference.lower, difference.estimate), high: max(difference.upper, difference.estimate),
            subject: subject, function: slice.name))
      }
      let worse = found.filter { $0.difference.upper < 0 }.map {
        "\($0.name) \(Self.signed($0.difference.estimate)) points of \($0.indices.count)"
      }
      let whom = subject == .parent ? "the unpruned parent" : "the incumbent"
      rule(
        worse.isEmpty,
        worse.isEmpty
          ? "On none of \(slices.count) slices by function it is clearly worse than \(whom)."
          : "It is clearly worse than \(whom) on \(worse.prefix(20).joined(separator: ", ")).")
    }
  }

  /// Gate samples by function; functions with few of them together.
  private var slices: [(name: String, indices: [Int])] {
    guard measured.functions.count == measured.candidate.count else { return [] }
    var byFunction: [String: [Int]] = [:]
    for (index, name) in measured.functions.enumerated() { byFunction[name, default: []].append(index) }
    let sorted = byFunction.sorted { $0.key < $1.key }
    let rare = sorted.filter { $0.value.count < policy.sliceMinimum }.flatMap(\.value).sorted()
    let own = sorted.filter { $0.value.count >= policy.sliceMinimum }.map { (name: $0.key, indices: $0.value) }
    return rare.isEmpty ? own : own + [(name: "rare functions", indices: rare)]
  }

  // MARK: - Probes and cost

  /// Compression can leave a file that loads and writes garbage: no valid call, or one call for everything.
  mutating func askProbes() {
    guard let (candidate, parent) = measured.probes else { return }
    rule(
      candidate.valid >= parent.valid && (candidate.distinct > 1 || parent.distinct <= 1),
      "Of \(candidate.count) probes it answers \(candidate.valid) with a valid call, \(candidate.distinct) different ones; "
        + "its parent \(parent.valid), \(parent.distinct) different ones.")
  }

  mutating func measureCost() {
    if policy.maximumLatency > 0, let latency = measured.latency {
      rule(
        latency <= policy.maximumLatency,
        "An answer takes \(Self.tenths(latency)) ms in the median; \(Self.tenths(policy.maximumLatency)) are allowed.")
    }
    if policy.maximumBytes > 0, let bytes = measured.bytes {
      rule(
        bytes <= policy.maximumBytes, "The weights take \(bytes) bytes; \(policy.maximumBytes) are allowed.")
    }
  }

  // MARK: - Figures

  private func paired(_ other: [Bool], on indices: [Int]? = nil, z: Double = Interval.z95) -> Interval {
    guard let indices else {
      return PairedComparison.difference(first: measured.candidate, second: other, weights: measured.weights, z: z)
    }
    return PairedComparison.difference(
      first: indices.map { measured.candidate[$0] }, second: indices.map { other[$0] },
      weights: measured.weights.only(indices), z: z)
  }

  /// Notes another model's exact match, the difference, and McNemar's exact test.
  private mutating func compare(_ other: [Bool], _ subject: Evidence.Subject) -> Interval {
    note("exact_match", measured.weights.share { other[$0] }, subject)
    let difference = paired(other)
    note("exact_match_difference", difference, subject)
    let p = PairedComparison.exactPValue(first: measured.candidate, second: other, weights: measured.weights)
    evidence.append(Evidence(metric: "mcnemar_p", value: p, n: other.count, subject: subject))
    return difference
  }

  private mutating func note(_ metric: String, _ interval: Interval, _ subject: Evidence.Subject) {
    evidence.append(
      Evidence(
        metric: metric, value: interval.estimate, n: measured.candidate.count,
        low: min(interval.lower, interval.estimate), high: max(interval.upper, interval.estimate), subject: subject))
  }

  private static func percent(_ share: Double) -> String { "\(tenths(share * 100)) %" }

  /// A percentage with as many places as show that it is not nothing.
  private static func small(_ share: Double) -> String {
    var scale = 10.0
    while share > 0, (share * 100 * scale).rounded() < 1, scale < 1e9 { scale *= 10 }
    return "\((share * 100 * scale).rounded() / scale) %"
  }

  private static func points(_ interval: Interval) -> String {
    "\(signed(interval.estimate)) points (\(signed(interval.lower)) to \(signed(interval.upper)))"
  }

  private static func signed(_ share: Double) -> String {
    // What rounds to −0 is 0.
    let value = (share * 1_000).rounded() / 10 + 0
    return value < 0 ? "−\(-value)" : "+\(value)"
  }

  private static func tenths(_ value: Double) -> Double { (value * 10).rounded() / 10 }
}
