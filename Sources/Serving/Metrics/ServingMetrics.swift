import Inference
import Metrics
import Topics

/// What the server measures about itself; labels come from bounded sets only.
struct ServingMetrics: Sendable {
  let registry: PrometheusRegistry
  private let swaps: Counter
  private let version: Gauge
  private let epoch: Gauge
  private let queueDepth: Gauge
  private let promptTokens: Counter
  private let completionTokens: Counter
  private let spoolRecords: Gauge
  private let spoolBytes: Gauge
  private let spoolDropped: Counter
  private let spoolForwarded: Counter
  private let latency: Timer
  private let confidence: Recorder

  init(_ registry: PrometheusRegistry) {
    self.registry = registry
    swaps = Counter(label: "retort_model_swaps_total", factory: registry)
    version = Gauge(label: "retort_model_version", factory: registry)
    epoch = Gauge(label: "retort_model_epoch", factory: registry)
    queueDepth = Gauge(label: "retort_requests_in_flight", factory: registry)
    promptTokens = Counter(label: "retort_tokens_total", dimensions: [("kind", "prompt")], factory: registry)
    completionTokens = Counter(label: "retort_tokens_total", dimensions: [("kind", "completion")], factory: registry)
    spoolRecords = Gauge(label: "retort_spool_records", factory: registry)
    spoolBytes = Gauge(label: "retort_spool_bytes", factory: registry)
    spoolDropped = Counter(label: "retort_spool_dropped_total", factory: registry)
    spoolForwarded = Counter(label: "retort_spool_forwarded_total", factory: registry)
    latency = Timer(label: "retort_answer_seconds", factory: registry)
    confidence = Recorder(label: "retort_answer_confidence", factory: registry)
    registry.describe("retort_http_requests_total", "HTTP requests by route and status.")
    registry.describe("retort_answer_seconds", "Time from a chat request's body to its answer, waiting included.")
    registry.describe(
      "retort_answers_total", "Answers by kind (call, or none could be made) and by whether they say to escalate.")
    registry.describe("retort_answer_confidence", "Confidence of answers, 0 to 1; 0 where there is no call.")
    registry.describe("retort_tokens_total", "Tokens read (prompt) and written (completion).")
    registry.describe("retort_model_swaps_total", "Models that were taken into service.")
    registry.describe("retort_model_version", "The version of the model in service; 0 for none or a file.")
    registry.describe("retort_model_epoch", "The deployment epoch of the model in service; 0 for none or a file.")
    registry.describe("retort_requests_in_flight", "Chat requests waiting or being computed.")
    registry.describe("retort_spool_records", "Live requests on disk that are not in the log yet.")
    registry.describe("retort_spool_bytes", "Their size in bytes.")
    registry.describe(
      "retort_spool_dropped_total", "Live requests that were not recorded: the spool was full or broken.")
    registry.describe("retort_spool_forwarded_total", "Live requests that were appended to the log.")
  }

  func count(route: String, status: Int) {
    Counter(
      label: "retort_http_requests_total", dimensions: [("route", route), ("status", "\(status)")], factory: registry
    ).increment()
  }

  func answered(_ answer: Answer, escalates: Bool, in duration: Duration) {
    promptTokens.increment(by: answer.promptTokens)
    completionTokens.increment(by: answer.tokens)
    confidence.record(answer.confidence)
    Counter(
      label: "retort_answers_total",
      dimensions: [("kind", answer.call == nil ? "none" : "call"), ("escalate", "\(escalates)")], factory: registry
    ).increment()
    let parts = duration.components
    latency.recordNanoseconds(parts.seconds * 1_000_000_000 + parts.attoseconds / 1_000_000_000)
  }

  func swapped(to model: ServedModel) {
    swaps.increment()
    version.record(model.version ?? 0)
    epoch.record(model.epoch ?? 0)
  }

  /// Chat requests since the start, and how long their answers took, as `/status` has them.
  var summary: JSONObject {
    func total(_ name: String, where isMeant: (String) -> Bool = { _ in true }) -> JSON {
      let series = registry.series(named: name).filter { isMeant($0.labels) }
      return .integer(Int64(series.reduce(0) { $0 + $1.value.sum }))
    }
    let answers = registry.series(named: "retort_answer_seconds").first?.value
    func seconds(_ share: Double) -> JSON { answers?.quantile(share).map { .number($0) } ?? .null }
    return [
      "answered": total("retort_answers_total"),
      "escalated": total("retort_answers_total") { $0.hasSuffix(#"escalate="true""#) },
      "refused": total("retort_http_requests_total") { $0.hasPrefix(#"route="chat",status="4"#) },
      "failed": total("retort_http_requests_total") { $0.hasPrefix(#"route="chat",status="5"#) },
      "latency_seconds": ["p50": seconds(0.5), "p99": seconds(0.99)],
    ]
  }

  func show(requestsInFlight: Int) { queueDepth.record(requestsInFlight) }

  func show(spool: RequestSpool.Figures, since last: RequestSpool.Figures) {
    spoolRecords.record(spool.records)
    spoolBytes.record(spool.bytes)
    spoolDropped.increment(by: spool.dropped - last.dropped)
    spoolForwarded.increment(by: spool.forwarded - last.forwarded)
  }
}
