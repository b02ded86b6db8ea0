public import Metrics
import Synchronization

/// Metrics of this process, written as Prometheus text.
///
/// A `MetricsFactory` that keeps every series in memory: counters, gauges (meters, and recorders without aggregation) and
/// histograms (recorders, timers in seconds). Bounded: at most 512 names and 4,096 sets of labels a name (Kafka's lag has one for
/// each client and partition); what is beyond goes into the series `{overflow="true"}`.
///
/// Reference: Prometheus text exposition format 0.0.4.
public final class PrometheusRegistry: MetricsFactory {
  static let maximumNames = 512
  static let maximumSeries = 4_096
  /// The labels of what is beyond, which many own.
  private static let overflow = #"overflow="true""#

  /// Upper bounds of histograms that hold no times.
  static let generalBounds: [Double] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000]
  /// Upper bounds of histograms of shares from 0 to 1, whose names end with `_confidence`.
  static let shareBounds: [Double] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1]
  /// Upper bounds of timers, in seconds.
  static let timeBounds: [Double] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10,
  ]

  private struct Family {
    let kind: MetricSeries.Kind
    var series: [(labels: String, value: MetricSeries)] = []
  }

  private struct State {
    var families: [String: Family] = [:]
    var help: [String: String] = [:]
  }

  private let state = Mutex(State())

  /// An empty registry.
  public init() {}

  /// Sets the sentence that stands above a metric.
  public func describe(_ name: String, _ help: String) {
    state.withLock { $0.help[Self.sanitized(name)] = help }
  }

  private func series(_ label: String, _ dimensions: [(String, String)], _ kind: MetricSeries.Kind) -> MetricSeries {
    let name = Self.sanitized(label)
    let labels = Self.text(of: dimensions)
    return state.withLock { state in
      guard state.families[name] != nil || state.families.count < Self.maximumNames else { return MetricSeries(kind) }
      // In place: a copy of thousands of series for each new one would hold everybody's metrics up.
      return Self.series(labels, kind, in: &state.families[name, default: Family(kind: kind)])
    }
  }

  private static func series(
    _ labels: String, _ kind: MetricSeries.Kind, in family: inout Family
  ) -> MetricSeries {
    // One name has one type; a second type is counted for its owner, but not shown.
    guard family.kind == kind else { return MetricSeries(kind) }
    if let known = family.series.first(where: { $0.labels == labels }) { return known.value }
    let isFull = family.series.count >= maximumSeries
    let key = isFull ? overflow : labels
    if isFull, let known = family.series.first(where: { $0.labels == key }) { return known.value }
    let fresh = MetricSeries(kind)
    family.series.append((key, fresh))
    return fresh
  }

  /// The series of a metric, with their labels as the text has them; none where nothing was measured yet.
  func series(named name: String) -> [(labels: String, value: MetricSeries)] {
    state.withLock { $0.families[name]?.series ?? [] }
  }

  private func remove(_ value: AnyObject) {
    state.withLock { state in
      for name in state.families.keys {
        state.families[name]?.series.removeAll { $0.value === value && $0.labels != Self.overflow }
        if state.families[name]?.series.isEmpty == true { state.families[name] = nil }
      }
    }
  }

  // MARK: MetricsFactory

  /// A counter.
  public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
    series(label, dimensions, .counter)
  }

  /// A counter of fractions.
  public func makeFloatingPointCounter(
    label: String, dimensions: [(String, String)]
  ) -> any FloatingPointCounterHandler {
    series(label, dimensions, .counter)
  }

  /// A gauge.
  public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
    series(label, dimensions, .gauge)
  }

  /// A histogram, or without aggregation a gauge.
  public func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
    series(
      label, dimensions,
      aggregate ? .histogram(label.hasSuffix("_confidence") ? Self.shareBounds : Self.generalBounds) : .gauge)
  }

  /// A histogram in seconds.
  public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
    series(label, dimensions, .histogram(Self.timeBounds))
  }

  /// Forgets a counter.
  public func destroyCounter(_ handler: any CounterHandler) { remove(handler) }
  /// Forgets a counter of fractions.
  public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) { remove(handler) }
  /// Forgets a gauge.
  public func destroyMeter(_ handler: any MeterHandler) { remove(handler) }
  /// Forgets a histogram.
  public func destroyRecorder(_ handler: any RecorderHandler) { remove(handler) }
  /// Forgets a timer.
  public func destroyTimer(_ handler: any TimerHandler) { remove(handler) }

  // MARK: Text

  /// Everything, in Prometheus' text format 0.0.4, sorted by name.
  public var text: String {
    let (families, help) = state.withLock { ($0.families, $0.help) }
    var text = ""
    for (name, family) in families.sorted(by: { $0.key < $1.key }) {
      if let sentence = help[name] {
        let escaped = sentence.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
        text += "# HELP \(name) \(escaped)\n"
      }
      text += "# TYPE \(name) \(family.kind.word)\n"
      for (labels, value) in family.series.sorted(by: { $0.labels < $1.labels }) {
        value.write(name, labels, to: &text)
      }
    }
    return text
  }

  /// A name that Prometheus accepts: letters, digits, `_` and `:`, not beginning with a digit.
  static func sanitized(_ name: String) -> String {
    var result = ""
    for scalar in name.unicodeScalars.prefix(200) {
      let isAllowed = scalar.isASCII && (scalar.properties.isAlphabetic || scalar == "_" || scalar == ":")
      let isDigit = ("0"..."9").contains(scalar)
      if isDigit, result.isEmpty { result += "_" }
      result.unicodeScalars.append(isAllowed || isDigit ? scalar : "_")
    }
    return result.isEmpty ? "_" : result
  }

  private static func text(of dimensions: [(String, String)]) -> String {
    dimensions.map { name, value in
      let escaped = value.prefix(200).replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        .replacing("\n", with: "\\n")
      return "\(sanitized(name))=\"\(escaped)\""
    }.joined(separator: ",")
  }
}
