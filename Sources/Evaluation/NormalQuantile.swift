import Foundation

extension Interval {
  /// The standard normal quantile of a probability in (0, 1): how many standard errors a one-sided test of level 1 − p asks for.
  ///
  /// By bisection on the complementary error function, to 10⁻¹²; p is kept within [10⁻¹², 1 − 10⁻¹²].
  public static func normalQuantile(_ p: Double) -> Double {
    let wanted = min(max(p, 1e-12), 1 - 1e-12)
    var (low, high) = (-8.0, 8.0)
    while high - low > 1e-12 {
      let middle = (low + high) / 2
      if 0.5 * erfc(-middle / 2.0.squareRoot()) < wanted { low = middle } else { high = middle }
    }
    return (low + high) / 2
  }
}
