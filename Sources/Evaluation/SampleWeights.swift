/// Questions that were drawn from traffic: how often each stands for others, and which of them are the same.
///
/// A question's weight is the inverse of the probability with which it was drawn. Questions of one cluster (the same text, asked
/// again) are drawn together, since a text is in one split or the other. Estimates are Hájek's: weighted sums over the sum of
/// weights. Intervals are those of equal weights, with the number of questions that would say as much about the quantity in
/// place of the count (``effectiveCount(of:)``); with equal weights of different questions every figure is the unweighted one, bit for bit.
///
/// Reference: Horvitz and Thompson 1952; Hájek 1971; Kish 1965, "Survey sampling".
public struct SampleWeights: Sendable, Hashable {
  /// The questions' weights; nil where they are all the same.
  private let values: [Double]?
  /// The questions' clusters, numbered from 0; nil where all are different.
  private let clusters: [Int]?
  /// The number of questions.
  public let count: Int
  /// The number of different questions.
  public let distinctCount: Int
  /// How many different questions of equal weight would say as much, at most: Kish's (Σw)² / Σw² over the different ones, each
  /// with the mean of its weights.
  public let effectiveCount: Double

  /// Weights; finite and above 0, others count as 1.
  ///
  /// - Parameter clusters: what is the same of questions that were asked more than once; nil where all are different.
  public init(_ weights: [Double], clusters: [String]? = nil) {
    precondition(clusters.map { $0.count == weights.count } ?? true, "one cluster a question")
    self.init(weights, numbered: clusters.map { Self.numbers($0) })
  }

  private init(_ weights: [Double], numbered clusters: [Int]?) {
    let clean = weights.map { $0.isFinite && $0 > 0 ? $0 : 1 }
    let different = clusters.map { ($0.max() ?? -1) + 1 } ?? clean.count
    values = clean.allSatisfy { $0 == clean.first } ? nil : clean
    self.clusters = different < clean.count ? clusters : nil
    count = clean.count
    distinctCount = different
    guard values != nil else {
      effectiveCount = Double(different)
      return
    }
    var totals = [(weight: Double, count: Double)](repeating: (0, 0), count: different)
    for (index, weight) in clean.enumerated() {
      let place = clusters?[index] ?? index
      totals[place] = (totals[place].weight + weight, totals[place].count + 1)
    }
    let means = totals.map { $0.weight / $0.count }
    let sum = means.reduce(0, +)
    effectiveCount = sum * sum / means.reduce(0) { $0 + $1 * $1 }
  }

  /// Numbers from 0 for what is different, in the order of their first places.
  static func numbers<Key: Hashable>(_ keys: [Key]) -> [Int] {
    var numbers: [Key: Int] = [:]
    return keys.map { key in
      if let known = numbers[key] { return known }
      numbers[key] = numbers.count
      return numbers.count - 1
    }
  }

  /// The weights of questions that were drawn with these probabilities, each above 0 to 1.
  public init(propensities: [Double]) { self.init(propensities.map { 1 / $0 }) }

  /// Equal weights of different questions.
  public init(count: Int) { self.init([Double](repeating: 1, count: count)) }

  /// Whether all weights are the same.
  public var areEqual: Bool { values == nil }

  /// From which share of the weight on a text is known, as everybody asks it.
  private static let frequent = 0.05

  /// How many different questions of equal weight would estimate the mean of `value` as well, at most ``effectiveCount``.
  ///
  /// The variance of one question's value over the variance of the weighted mean. That is the jackknife's over clusters, but
  /// for the texts that make up ``frequent`` of the weight each: those are strata of their own, known and not drawn. Where few
  /// differ the variance is hardly known, so that one more that differs is supposed beside those that were seen.
  ///
  /// Reference: Shao and Tu 1995, "The jackknife and bootstrap", §2.1 (delete one cluster); Cochran 1977, "Sampling
  /// techniques", §5A (certainty strata).
  public func effectiveCount(of value: (Int) -> Double) -> Double {
    guard values != nil || clusters != nil else { return Double(count) }
    guard distinctCount > 1 else { return effectiveCount }
    var sums = [(weight: Double, value: Double)](repeating: (0, 0), count: distinctCount)
    var (sum, total, squares) = (0.0, 0.0, 0.0)
    for index in 0..<count {
      let (weight, value) = (values?[index] ?? 1, value(index))
      let place = clusters?[index] ?? index
      sums[place] = (sums[place].weight + weight, sums[place].value + weight * value)
      sum += weight
      total += weight * value
      squares += weight * value * value
    }
    let mean = total / sum
    let drawn = sums.filter { $0.weight < Self.frequent * sum }
    let rest = drawn.reduce(into: (weight: 0.0, value: 0.0)) { $0 = ($0.weight + $1.weight, $0.value + $1.value) }
    let known = Double(max(0, drawn.count - 1)) / Double(max(1, drawn.count)) * rest.weight / sum
    let variance = drawn.reduce(0) { result, own in
      guard rest.weight > own.weight else { return result }
      let moved = known * (own.value - own.weight * rest.value / rest.weight) / (rest.weight - own.weight)
      return result + moved * moved
    }
    let supposed = 1 / effectiveCount
    let single = max(0, squares / sum - mean * mean) + supposed
    return min(effectiveCount, single / (variance + supposed * supposed))
  }

  /// The share of what holds, with Wilson's 95 % interval; of nothing 0, from 0 to 1.
  public func share(z: Double = Interval.z95, _ holds: (Int) -> Bool) -> Interval {
    let trials = effectiveCount { holds($0) ? 1 : 0 }
    return .wilson(hits: hits(trials, holds), trials: trials, z: z)
  }

  /// What holds, scaled so that all questions together count `trials`.
  func hits(_ trials: Double, _ holds: (Int) -> Bool) -> Double {
    guard let values else {
      let hits = Double((0..<count).count(where: holds))
      return clusters == nil ? hits : hits / Double(count) * trials
    }
    var part = 0.0
    for index in 0..<count where holds(index) { part += values[index] }
    return part / values.reduce(0, +) * trials
  }

  /// The weighted mean of a quantity; 0 of nothing.
  public func mean(_ value: (Int) -> Double) -> Double {
    guard count > 0 else { return 0 }
    guard let values else { return (0..<count).reduce(0) { $0 + value($1) } / Double(count) }
    return (0..<count).reduce(0) { $0 + values[$1] * value($1) } / values.reduce(0, +)
  }

  /// The sums of a whole quantity over the different questions: how many are above 0, below 0 and 0.
  func signs(of value: (Int) -> Int) -> (above: Int, below: Int, zero: Int) {
    var sums = [Int](repeating: 0, count: distinctCount)
    for index in 0..<count { sums[clusters?[index] ?? index] += value(index) }
    let (above, below) = (sums.count { $0 > 0 }, sums.count { $0 < 0 })
    return (above, below, sums.count - above - below)
  }

  /// The weights of some of the questions.
  public func only(_ indices: [Int]) -> SampleWeights {
    SampleWeights(
      indices.map { values?[$0] ?? 1 }, numbered: clusters.map { own in Self.numbers(indices.map { own[$0] }) })
  }
}
