import MessageLog
import Metrics
import Synchronization

/// How many records a stage is behind the log, as the gauge `retort_stage_lag_records`: offsets between what it has finished
/// and the end.
///
/// Measured beside the stage, at most every few seconds and one at a time: a log that does not answer holds nobody up.
final class LagMeter: Sendable {
  private struct State {
    var isMeasuring = false
    var due = ContinuousClock.now
  }

  private let log: any MessageLog
  private let gauge: Gauge
  private let state = Mutex(State())
  private static let interval = Duration.seconds(5)

  init(stage: String, log: any MessageLog) {
    self.log = log
    gauge = Gauge(label: "retort_stage_lag_records", dimensions: [("stage", stage)])
  }

  /// Takes the next offsets that the stage has to deal with.
  func note(_ positions: [TopicPartition: Int64]) {
    let isDue = state.withLock { state in
      guard !state.isMeasuring, state.due <= .now else { return false }
      state.isMeasuring = true
      return true
    }
    guard isDue else { return }
    Task {
      if let lag = try? await lag(behind: positions) { gauge.record(lag) }
      state.withLock { state in
        state.isMeasuring = false
        state.due = .now + Self.interval
      }
    }
  }

  private func lag(behind positions: [TopicPartition: Int64]) async throws -> Int64 {
    var lag: Int64 = 0
    for (partition, position) in positions {
      let marks = try await log.watermarks(of: partition)
      lag += max(0, marks.high - max(position, marks.low))
    }
    return lag
  }
}
