public import Topics

/// Percentiles of latencies, in milliseconds, by nearest rank.
public struct LatencyPercentiles: Sendable, Hashable {
  /// The median.
  public let p50: Double
  /// The 99th percentile.
  public let p99: Double
  /// How many latencies they are of.
  public let count: Int

  /// The percentiles of these latencies; values that are not finite are left out, and with none both are 0.
  public init(milliseconds: [Double]) {
    let sorted = milliseconds.filter(\.isFinite).sorted()
    p50 = Self.percentile(50, of: sorted)
    p99 = Self.percentile(99, of: sorted)
    count = sorted.count
  }

  /// The nearest-rank percentile (0…100) of an ascending list: the least value that `percent` of it do not exceed.
  public static func percentile(_ percent: Int, of sorted: [Double]) -> Double {
    guard !sorted.isEmpty else { return 0 }
    let rank = (max(0, min(100, percent)) * sorted.count + 99) / 100
    return sorted[max(0, rank - 1)]
  }

  /// `{"p50":…,"p99":…}`.
  public var json: JSON { .object(["p50": .number(p50), "p99": .number(p99)]) }
}
