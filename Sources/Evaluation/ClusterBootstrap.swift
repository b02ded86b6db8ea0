/// Percentile intervals by resampling whole clusters (conversations), seeded: the same input gives the same interval.
///
/// Reference: Efron 1979, "Bootstrap methods: another look at the jackknife"; clusters are drawn with replacement.
public struct ClusterBootstrap: Sendable {
  /// The number of resamples.
  public let resamples: Int
  /// The seed of the draws.
  public let seed: UInt64

  /// A bootstrap with `resamples` (1…100,000, default 2,000) draws.
  public init(resamples: Int = 2_000, seed: UInt64 = 0) {
    self.resamples = max(1, min(100_000, resamples))
    self.seed = seed
  }

  /// A 95 % percentile interval of any statistic of `units` things drawn with replacement.
  public func interval(estimate: Double, units: Int, statistic: ([Int]) -> Double) -> Interval {
    guard units > 0 else { return Interval(estimate: estimate, lower: estimate, upper: estimate) }
    var values: [Double] = []
    values.reserveCapacity(resamples)
    var draws = [Int](repeating: 0, count: units)
    var counter = seed
    for _ in 0..<resamples {
      for position in 0..<units {
        counter &+= 0x9E37_79B9_7F4A_7C15
        draws[position] = Int(Self.mix(counter).multipliedFullWidth(by: UInt64(units)).high)
      }
      values.append(statistic(draws))
    }
    values.sort()
    let low = values[Int(Double(values.count - 1) * 0.025)]
    let high = values[Int((Double(values.count - 1) * 0.975).rounded(.up))]
    return Interval(estimate: estimate, lower: min(low, estimate), upper: max(high, estimate))
  }

  /// SplitMix64's finalizer (Steele, Lea and Flood 2014).
  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
