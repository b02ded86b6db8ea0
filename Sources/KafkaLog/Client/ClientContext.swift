import CRdKafka
import Logging
import MessageLog
import Synchronization

/// What librdkafka's callbacks of one handle may touch: they come from its own threads as well as from ours.
final class ClientContext: Sendable {
  private struct State {
    var rebalances: [GroupChange] = []
    var isClosing = false
    var hasBeenAssigned = false
    /// The last trouble with a broker: it says why a call timed out.
    var lastTrouble: (code: rd_kafka_resp_err_t, text: String)?
    var fatal: (code: rd_kafka_resp_err_t, text: String)?
    var statistics: ClientStatistics?
  }

  private let logger: Logger
  private let thread: HandleThread
  private let state = Mutex(State())

  init(logger: Logger, thread: HandleThread) {
    self.logger = logger
    self.thread = thread
  }

  /// Why brokers could not be talked to, where that is known.
  var lastTrouble: (code: rd_kafka_resp_err_t, text: String)? { state.withLock { $0.lastTrouble } }
  /// The error that made the handle useless.
  var fatal: (code: rd_kafka_resp_err_t, text: String)? { state.withLock { $0.fatal } }

  /// Whether the group has ever given this member partitions.
  var hasBeenAssigned: Bool { state.withLock { $0.hasBeenAssigned } }

  /// What the group changed since the last call.
  func takeRebalances() -> [GroupChange] {
    state.withLock { state in
      defer { state.rebalances = [] }
      return state.rebalances
    }
  }

  /// From now on librdkafka's statistics are exported under this name.
  func exportStatistics(client: String, role: String) {
    state.withLock { $0.statistics = ClientStatistics(client: client, role: role) }
  }

  /// What was exported of this client is forgotten.
  func endStatistics() {
    state.withLock { state in
      state.statistics?.end()
      state.statistics = nil
    }
  }

  /// From now on revoked partitions are let go at once.
  func beginClosing() { state.withLock { $0.isClosing = true } }

  /// Forgets old trouble, before a call whose failure it is to explain.
  func forgetTrouble() { state.withLock { $0.lastTrouble = nil } }

  /// Sets the callbacks that lead here.
  func install(in conf: OpaquePointer, groupMember: Bool, delivery: Bool) {
    rd_kafka_conf_set_opaque(conf, Unmanaged.passUnretained(self).toOpaque())
    rd_kafka_conf_set_log_cb(conf) { handle, level, facility, text in
      guard let handle, let text, let opaque = rd_kafka_opaque(handle) else { return }
      ClientContext.of(opaque).log(Int(level), facility.map { String(cString: $0) } ?? "", String(cString: text))
    }
    rd_kafka_conf_set_error_cb(conf) { handle, code, reason, opaque in
      guard let handle, let opaque else { return }
      ClientContext.of(opaque).trouble(
        handle, rd_kafka_resp_err_t(rawValue: code), reason.map { String(cString: $0) } ?? "")
    }
    rd_kafka_conf_set_stats_cb(conf) { _, json, length, opaque in
      guard let json, let opaque else { return 0 }
      let bytes = [UInt8](UnsafeRawBufferPointer(start: json, count: length))
      ClientContext.of(opaque).state.withLock { $0.statistics?.record(bytes) }
      return 0
    }
    if groupMember {
      rd_kafka_conf_set_rebalance_cb(conf) { handle, code, list, opaque in
        guard let handle, let opaque else { return }
        ClientContext.of(opaque).rebalance(handle, code, list)
      }
    }
    if delivery {
      rd_kafka_conf_set_dr_msg_cb(conf) { _, message, _ in
        if let message { DeliveryBatch.report(message) }
      }
    }
  }

  private static func of(_ opaque: UnsafeMutableRawPointer) -> ClientContext {
    Unmanaged<ClientContext>.fromOpaque(opaque).takeUnretainedValue()
  }

  private func rebalance(
    _ handle: OpaquePointer, _ code: rd_kafka_resp_err_t, _ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?
  ) {
    let isClosing = state.withLock { state in
      if code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS { state.hasBeenAssigned = true }
      return state.isClosing
    }
    switch code {
    case RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS where !isClosing:
      add(.assigned(places(list)))
    case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS where !isClosing:
      add(.revoked(places(list)))
    case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS:
      if let error = rd_kafka_incremental_unassign(handle, list) { rd_kafka_error_destroy(error) }
    default:
      rd_kafka_assign(handle, nil)
    }
  }

  private func add(_ change: GroupChange) { state.withLock { $0.rebalances.append(change) } }

  private func places(_ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?) -> Set<TopicPartition> {
    Set(PartitionList.items(of: UnsafePointer(list)).map(\.place))
  }

  private func trouble(_ handle: OpaquePointer, _ code: rd_kafka_resp_err_t, _ reason: String) {
    if code == RD_KAFKA_RESP_ERR__FATAL {
      var text = [CChar](repeating: 0, count: 512)
      let cause = rd_kafka_fatal_error(handle, &text, text.count)
      let message = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      state.withLock { $0.fatal = (cause, message) }
      logger.info("kafka: the client can go on no longer", metadata: ["reason": "\(message)"])
    } else {
      state.withLock { state in
        // That all brokers are down says less than why the last one is.
        if code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || state.lastTrouble == nil {
          state.lastTrouble = (code, reason)
        }
      }
      // Readers wait in silence until brokers are back: this is the one sign of it.
      let isOutage = code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN
      logger.log(
        level: isOutage ? .warning : .info, "kafka: trouble with a broker",
        metadata: ["reason": "\(isOutage ? lastTrouble?.text ?? reason : reason)"])
    }
    thread.wake()
  }

  /// Why a connection broke is sometimes said in the log alone.
  private func noteFailure(_ text: String) {
    state.withLock { state in
      let isVague = state.lastTrouble.map { $0.code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN } ?? true
      if isVague { state.lastTrouble = (RD_KAFKA_RESP_ERR__TRANSPORT, text) }
    }
  }

  /// librdkafka's levels are those of syslog. What it calls an error is a connection that it will try again, or comes to
  /// the caller as an error, who then decides.
  private func log(_ level: Int, _ facility: String, _ text: String) {
    let mapped: Logger.Level =
      switch level {
      case ...4: .notice
      case 5: .info
      default: .debug
      }
    if facility == "FAIL" { noteFailure(text) }
    // Each handle is told all properties; those of other kinds of client are none of its business.
    logger.log(level: facility == "CONFWARN" ? .debug : mapped, "kafka: \(text)", metadata: ["facility": "\(facility)"])
  }
}
