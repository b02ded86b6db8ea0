import Metrics
import Synchronization

/// One series of a metric: a counter, a gauge or a histogram.
final class MetricSeries: CounterHandler, FloatingPointCounterHandler, MeterHandler, RecorderHandler, TimerHandler {
  enum Kind: Sendable, Equatable {
    case counter
    case gauge
    case histogram([Double])

    var word: String {
      switch self {
      case .counter: "counter"
      case .gauge: "gauge"
      case .histogram: "histogram"
      }
    }
  }

  private struct Value {
    var sum = 0.0
    var count: UInt64 = 0
    /// Observations in each bucket, the last without upper bound.
    var buckets: [UInt64]
  }

  private let kind: Kind
  private let bounds: [Double]
  private let value: Mutex<Value>

  init(_ kind: Kind) {
    self.kind = kind
    if case .histogram(let bounds) = kind { self.bounds = bounds } else { bounds = [] }
    value = Mutex(Value(buckets: [UInt64](repeating: 0, count: bounds.isEmpty ? 0 : bounds.count + 1)))
  }

  func increment(by amount: Int64) { increment(by: Double(amount)) }

  func increment(by amount: Double) {
    guard amount.isFinite, kind == .gauge || amount >= 0 else { return }
    value.withLock { $0.sum += amount }
  }

  func decrement(by amount: Double) { increment(by: -amount) }

  func reset() { value.withLock { $0.sum = 0 } }

  func set(_ number: Int64) { set(Double(number)) }

  func set(_ number: Double) { value.withLock { $0.sum = number } }

  func record(_ number: Int64) { record(Double(number)) }

  func record(_ number: Double) {
    guard number.isFinite else { return }
    guard case .histogram = kind else { return set(number) }
    let bucket = bounds.firstIndex { number <= $0 } ?? bounds.count
    value.withLock {
      $0.sum += number
      $0.count += 1
      $0.buckets[bucket] += 1
    }
  }

  func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

  /// What a counter or gauge says; of a histogram the sum of what was recorded.
  var sum: Double { value.withLock { $0.sum } }

  /// The number that a share (above 0, at most 1) of what a histogram recorded does not exceed, interpolated in its bucket; the
  /// highest bound where it lies above all, nil where nothing was recorded.
  ///
  /// Reference: Prometheus, `histogram_quantile`.
  func quantile(_ share: Double) -> Double? {
    let now = value.withLock { $0 }
    guard now.count > 0 else { return nil }
    let rank = share * Double(now.count)
    var (below, lower) = (0.0, 0.0)
    for (bound, count) in zip(bounds, now.buckets) {
      if count > 0, below + Double(count) >= rank { return lower + (bound - lower) * (rank - below) / Double(count) }
      below += Double(count)
      lower = bound
    }
    return bounds.last
  }

  /// Appends the lines of this series.
  func write(_ name: String, _ labels: String, to text: inout String) {
    let now = value.withLock { $0 }
    func line(_ suffix: String, _ extra: String, _ number: String) {
      let all = [labels, extra].filter { !$0.isEmpty }.joined(separator: ",")
      text += name + suffix + (all.isEmpty ? "" : "{\(all)}") + " " + number + "\n"
    }
    guard case .histogram = kind else { return line("", "", Self.text(now.sum)) }
    var total: UInt64 = 0
    for (index, bound) in bounds.enumerated() {
      total += now.buckets[index]
      line("_bucket", "le=\"\(Self.text(bound))\"", "\(total)")
    }
    line("_bucket", "le=\"+Inf\"", "\(now.count)")
    line("_sum", "", Self.text(now.sum))
    line("_count", "", "\(now.count)")
  }

  private static func text(_ number: Double) -> String {
    if number.isNaN { return "NaN" }
    if number.isInfinite { return number > 0 ? "+Inf" : "-Inf" }
    return Int64(exactly: number).map(String.init) ?? "\(number)"
  }
}
