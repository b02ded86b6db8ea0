public import Topics

/// An estimate with the interval around it; lower ≤ upper.
public struct Interval: Sendable, Hashable {
  /// The point estimate.
  public let estimate: Double
  /// The lower bound.
  public let lower: Double
  /// The upper bound.
  public let upper: Double

  /// An estimate and its bounds.
  public init(estimate: Double, lower: Double, upper: Double) {
    self.estimate = estimate
    self.lower = lower
    self.upper = upper
  }

  /// The standard normal quantile of a two-sided 95 % interval.
  public static let z95 = 1.959963984540054

  /// Wilson's score interval of a proportion, in 0…1; with no trials the estimate is 0 and the bounds 0 and 1.
  ///
  /// Reference: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
  public static func wilson(successes: Int, trials: Int, z: Double = z95) -> Interval {
    wilson(hits: Double(max(0, min(successes, trials))), trials: Double(trials), z: z)
  }

  /// The same of weighted counts, 0 ≤ hits ≤ trials.
  static func wilson(hits: Double, trials n: Double, z: Double) -> Interval {
    guard n > 0 else { return Interval(estimate: 0, lower: 0, upper: 1) }
    let share = hits / n
    let zz = z * z
    let centre = (share + zz / (2 * n)) / (1 + zz / n)
    let half = z / (1 + zz / n) * (share * (1 - share) / n + zz / (4 * n * n)).squareRoot()
    // At the ends the formula gives the estimate itself up to rounding: say so exactly.
    let lower = hits == 0 ? 0 : max(0, centre - half)
    let upper = hits == n ? 1 : min(1, centre + half)
    return Interval(estimate: share, lower: lower, upper: upper)
  }

  /// The bounds as a JSON array of two numbers.
  public var json: JSON { .array([.number(lower), .number(upper)]) }
}
