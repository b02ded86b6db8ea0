public import Topics

/// Two models' right and wrong answers on the same questions.
///
/// The difference is first minus second, in −1…1. Of questions that are drawn unequally or asked more than once ``SampleWeights``
/// know how much they say.
public struct PairedComparison: Sendable, Hashable {
  /// Questions that both answer rightly.
  public let both: Int
  /// Questions that only the first answers rightly.
  public let onlyFirst: Int
  /// Questions that only the second answers rightly.
  public let onlySecond: Int
  /// Questions that neither answers rightly.
  public let neither: Int

  /// A comparison from the four counts (negative ones count as 0).
  public init(both: Int, onlyFirst: Int, onlySecond: Int, neither: Int) {
    self.both = max(0, both)
    self.onlyFirst = max(0, onlyFirst)
    self.onlySecond = max(0, onlySecond)
    self.neither = max(0, neither)
  }

  /// A comparison of outcomes, position by position; the longer list's surplus is left out.
  public init(first: [Bool], second: [Bool]) {
    var counts = [0, 0, 0, 0]
    for (a, b) in zip(first, second) { counts[(a ? 0 : 2) + (b ? 0 : 1)] += 1 }
    self.init(both: counts[0], onlyFirst: counts[1], onlySecond: counts[2], neither: counts[3])
  }

  /// The number of questions.
  public var count: Int { both + onlyFirst + onlySecond + neither }
  /// The share of questions on which exactly one of the two is right, in 0…1.
  public var discordance: Double { count == 0 ? 0 : Double(onlyFirst + onlySecond) / Double(count) }

  /// The difference of the proportions with Newcombe's hybrid score interval for paired data.
  ///
  /// With no questions: 0, from −1 to 1.
  ///
  /// Reference: Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions based
  /// on paired data", method 10 (Wilson limits, phi corrected for continuity).
  public func difference(z: Double = Interval.z95) -> Interval {
    PairedCounts(
      both: Double(both), onlyFirst: Double(onlyFirst), onlySecond: Double(onlySecond), neither: Double(neither)
    ).difference(z: z)
  }

  /// The same of questions with weights: ``SampleWeights/effectiveCount(of:)`` of the difference stands for their number.
  public static func difference(
    first: [Bool], second: [Bool], weights: SampleWeights, z: Double = Interval.z95
  ) -> Interval {
    precondition(first.count == weights.count && second.count == weights.count, "one weight a question")
    let n = weights.effectiveCount { Double(Self.sign(first[$0], second[$0])) }
    return PairedCounts(
      both: weights.hits(n) { first[$0] && second[$0] }, onlyFirst: weights.hits(n) { first[$0] && !second[$0] },
      onlySecond: weights.hits(n) { !first[$0] && second[$0] }, neither: weights.hits(n) { !first[$0] && !second[$0] }
    ).difference(z: z)
  }

  /// McNemar's exact two-sided p-value of different questions: one on which the models differ counts once, however often it was
  /// asked and whatever its weight.
  public static func exactPValue(first: [Bool], second: [Bool], weights: SampleWeights) -> Double {
    let signs = weights.signs { Self.sign(first[$0], second[$0]) }
    return PairedComparison(both: signs.zero, onlyFirst: signs.above, onlySecond: signs.below, neither: 0).exactPValue
  }

  private static func sign(_ first: Bool, _ second: Bool) -> Int { (first ? 1 : 0) - (second ? 1 : 0) }

  /// McNemar's exact two-sided p-value, in 0…1 (1 where nothing is discordant).
  ///
  /// Reference: McNemar 1947; the binomial form of the test on the discordant pairs.
  public var exactPValue: Double {
    let total = onlyFirst + onlySecond
    let tail = min(onlyFirst, onlySecond)
    guard total > 0 else { return 1 }
    // C(total, tail) / 2^total, the halvings spread over the factors so that nothing overflows.
    var term = 1.0
    var halvings = total
    for step in stride(from: 1, through: tail, by: 1) {
      term *= Double(total - tail + step) / Double(step)
      while term > 1, halvings > 0 {
        term *= 0.5
        halvings -= 1
      }
    }
    while halvings > 0, term > 0 {
      term *= 0.5
      halvings -= 1
    }
    var sum = 0.0
    for k in stride(from: tail, through: 0, by: -1) {
      sum += term
      term *= Double(k) / Double(total - k + 1)
    }
    return min(1, 2 * sum)
  }

  /// Counts, difference and interval as JSON.
  public var json: JSON {
    let interval = difference()
    return .object([
      "n": .integer(Int64(count)), "both": .integer(Int64(both)), "only_first": .integer(Int64(onlyFirst)),
      "only_second": .integer(Int64(onlySecond)), "neither": .integer(Int64(neither)),
      "difference": .number(interval.estimate), "interval": interval.json, "p_value": .number(exactPValue),
    ])
  }
}

/// The four counts of a comparison, weighted or not.
private struct PairedCounts {
  let both: Double
  let onlyFirst: Double
  let onlySecond: Double
  let neither: Double

  func difference(z: Double) -> Interval {
    let n = both + onlyFirst + onlySecond + neither
    guard n > 0 else { return Interval(estimate: 0, lower: -1, upper: 1) }
    let first = Interval.wilson(hits: both + onlyFirst, trials: n, z: z)
    let second = Interval.wilson(hits: both + onlySecond, trials: n, z: z)
    let estimate = (onlyFirst - onlySecond) / n
    let phi = correlation(n)
    let down = Self.distance(first.estimate - first.lower, second.upper - second.estimate, phi)
    let up = Self.distance(first.upper - first.estimate, second.estimate - second.lower, phi)
    return Interval(estimate: estimate, lower: max(-1, estimate - down), upper: min(1, estimate + up))
  }

  private static func distance(_ a: Double, _ b: Double, _ phi: Double) -> Double {
    max(0, a * a - 2 * phi * a * b + b * b).squareRoot()
  }

  /// Newcombe's phi: the correlation, its numerator moved towards zero by n/2 where positive.
  private func correlation(_ n: Double) -> Double {
    let (a, b, c, d) = (both, onlyFirst, onlySecond, neither)
    let margins = (a + b) * (c + d) * (a + c) * (b + d)
    guard margins > 0 else { return 0 }
    let product = a * d - b * c
    let corrected = product > 0 ? max(0, product - n / 2) : product
    return corrected / margins.squareRoot()
  }
}
