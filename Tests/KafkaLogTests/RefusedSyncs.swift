import Logging
import Synchronization

/// Counts how often librdkafka's mock cluster refused a member the partitions that it had been given.
///
/// A follower's SyncGroup that arrives after the leader's is answered with its assignment by a broker, and with INVALID_REQUEST
/// by the mock (`rd_kafka_mock_cgrp_check_state` in the state "up"). The member joins again, which begins another rebalance in
/// the middle of this one; to an offset commit in it a broker agrees (PreparingRebalance), the mock does not. On a busy machine that can go on for ever.
final class RefusedSyncs: Sendable {
  private let state = Mutex(0)

  /// How often so far.
  var count: Int { state.withLock { $0 } }

  /// Hears of them where the property `debug` is `cgrp`.
  var logger: Logger {
    var logger = Logger(label: "mock") { _ in Handler(refused: self) }
    logger.logLevel = .debug
    return logger
  }

  private func hear(_ message: String) {
    if message.contains("SyncGroup response: Broker: Invalid request") { state.withLock { $0 += 1 } }
  }

  private struct Handler: LogHandler {
    let refused: RefusedSyncs
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.debug

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { refused.hear(event.message.description) }
  }
}
