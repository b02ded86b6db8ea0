import Evaluation
import Testing

@Suite("Intervals and paired comparisons") struct StatisticsTests {
  private func close(_ a: Double, _ b: Double, _ tolerance: Double = 5e-5) -> Bool { abs(a - b) < tolerance }

  @Test("Wilson's interval agrees with the published example")
  func wilson() {
    // Newcombe 1998 (two-sided intervals for the single proportion), 81 of 263: 0.2553 to 0.3662.
    let interval = Interval.wilson(successes: 81, trials: 263)
    #expect(close(interval.lower, 0.2553))
    #expect(close(interval.upper, 0.3662))
    // 0 of 20: 0 to 0.1611.
    let none = Interval.wilson(successes: 0, trials: 20)
    #expect(none.lower == 0)
    #expect(close(none.upper, 0.1611))
    #expect(Interval.wilson(successes: 20, trials: 20).upper == 1)
  }

  @Test("An interval of nothing says that nothing is known")
  func empty() {
    let wilson = Interval.wilson(successes: 0, trials: 0)
    #expect(wilson.lower == 0 && wilson.upper == 1)
    let paired = PairedComparison(both: 0, onlyFirst: 0, onlySecond: 0, neither: 0)
    #expect(paired.difference().lower == -1 && paired.difference().upper == 1)
    #expect(paired.exactPValue == 1)
  }

  @Test("The paired interval agrees with Newcombe's method 10")
  func newcombe() {
    let interval = PairedComparison(both: 36, onlyFirst: 12, onlySecond: 2, neither: 0).difference()
    #expect(close(interval.estimate, 0.2))
    #expect(close(interval.lower, 0.0569))
    #expect(close(interval.upper, 0.3404))
  }

  @Test("Exchanging the two models mirrors the interval")
  func mirrored() {
    let one = PairedComparison(both: 400, onlyFirst: 31, onlySecond: 17, neither: 52).difference()
    let other = PairedComparison(both: 400, onlyFirst: 17, onlySecond: 31, neither: 52).difference()
    #expect(close(one.lower, -other.upper, 1e-12))
    #expect(close(one.upper, -other.lower, 1e-12))
  }

  @Test("Outcomes are counted position by position")
  func counting() {
    let paired = PairedComparison(
      first: [true, true, false, false, true], second: [true, false, true, false, false])
    #expect(paired == PairedComparison(both: 1, onlyFirst: 2, onlySecond: 1, neither: 1))
    #expect(paired.discordance == 0.6)
  }

  @Test("McNemar's exact test agrees with the binomial distribution")
  func mcNemar() {
    // 2 · (1 + 14 + 91) / 2^14
    let p = PairedComparison(both: 36, onlyFirst: 12, onlySecond: 2, neither: 0).exactPValue
    #expect(close(p, 2 * 106.0 / 16_384, 1e-12))
    #expect(PairedComparison(both: 0, onlyFirst: 5, onlySecond: 5, neither: 0).exactPValue == 1)
    let large = PairedComparison(both: 0, onlyFirst: 2_000, onlySecond: 2_100, neither: 0).exactPValue
    #expect(close(large, 0.1220, 2e-3))
    #expect(PairedComparison(both: 0, onlyFirst: 50_000, onlySecond: 0, neither: 0).exactPValue == 0)
  }

  @Test("Latency percentiles are nearest ranks")
  func latency() {
    let percentiles = LatencyPercentiles(milliseconds: (1...200).reversed().map(Double.init) + [.nan])
    #expect(percentiles.p50 == 100)
    #expect(percentiles.p99 == 198)
    #expect(LatencyPercentiles(milliseconds: []).p99 == 0)
    #expect(LatencyPercentiles(milliseconds: [7]).p50 == 7)
  }

  @Test("The bootstrap is repeatable, and wider where whole clusters are drawn")
  func clusters() {
    let right = (0..<400).map { $0 % 40 >= 4 }
    func interval(of size: Int) -> Interval {
      ClusterBootstrap().interval(estimate: 0.9, units: 400 / size) { draws in
        Double(draws.reduce(0) { sum, unit in sum + right[unit * size..<(unit + 1) * size].count { $0 } }) / 400
      }
    }
    let (alone, together) = (interval(of: 1), interval(of: 4))
    #expect(alone == interval(of: 1))
    #expect(together.upper - together.lower > alone.upper - alone.lower)
  }
}
