import Metrics
import Training

/// The stages' counters: bounded names and labels, whoever collects them.
enum StageMetrics {
  static func labelled(_ progress: LabelProgress) {
    Counter(label: "retort_requests_total", dimensions: [("outcome", "sampled")]).increment(by: progress.sampled)
    for (reason, count) in progress.skipped {
      Counter(label: "retort_requests_total", dimensions: [("outcome", "skipped"), ("reason", reason)])
        .increment(by: count)
    }
    for (code, count) in progress.dead {
      Counter(label: "retort_requests_total", dimensions: [("outcome", "dead"), ("reason", code)]).increment(by: count)
    }
  }

  static func trained(_ report: RoundReport) {
    Counter(label: "retort_samples_trained_total").increment(by: report.newSamples)
    for (tokens, count) in [("same", report.softSamples), ("other", report.unlikeSamples)] where count > 0 {
      Counter(label: "retort_samples_logprobs_total", dimensions: [("tokens", tokens)]).increment(by: count)
    }
    if let score = report.prequential { Gauge(label: "retort_prequential_exact_match").record(score.exactMatch) }
  }

  static func released(promoted: Bool) {
    Counter(label: "retort_releases_total", dimensions: [("verdict", promoted ? "promoted" : "rejected")]).increment()
  }
}
