import CRdKafka
import Logging
import MessageLog

/// The owner of one `rd_kafka_t` and of the queues that were opened on it; used on its thread only.
///
/// Queues are let go before the handle, and the callbacks' context after it.
final class ClientHandle {
  let raw: OpaquePointer
  let context: ClientContext
  private let thread: HandleThread
  private var queues: [OpaquePointer] = []
  private var isDestroyed = false

  /// Makes a client.
  ///
  /// - Throws: `.invalid` where a property is unknown or its value is refused; the message never holds a value that may be
  ///   secret.
  init(
    _ kind: rd_kafka_type_t, properties: ClientProperties, logger: Logger, thread: HandleThread
  ) throws(MessageLogError) {
    self.thread = thread
    context = ClientContext(logger: logger, thread: thread)
    let conf = try Self.conf(properties)
    context.install(
      in: conf, groupMember: properties.isGroupMember, delivery: kind == RD_KAFKA_PRODUCER)
    raw = try Self.make(kind, of: conf, properties)
    context.exportStatistics(client: String(cString: rd_kafka_name(raw)), role: properties.role)
    let main = rd_kafka_queue_get_main(raw)!
    queues.append(main)
    wakeOn(main)
  }

  deinit { destroy() }

  /// Says whether librdkafka takes these properties, each and together: makes a client of them and lets it go.
  static func check(_ kind: rd_kafka_type_t, _ properties: ClientProperties) throws(MessageLogError) {
    let conf = try conf(properties)
    rd_kafka_conf_set_log_cb(conf, nil)
    rd_kafka_destroy(try make(kind, of: conf, properties))
  }

  /// A client of a configuration, which is gone in any case.
  private static func make(
    _ kind: rd_kafka_type_t, of conf: OpaquePointer, _ properties: ClientProperties
  ) throws(MessageLogError) -> OpaquePointer {
    var text = [CChar](repeating: 0, count: 512)
    if let raw = rd_kafka_new(kind, conf, &text, text.count) { return raw }
    rd_kafka_conf_destroy(conf)
    throw MessageLogError(
      .invalid, "librdkafka refuses its configuration", found: properties.redacted(string(text)),
      advice: "correct the properties under log.kafka")
  }

  private static func conf(_ properties: ClientProperties) throws(MessageLogError) -> OpaquePointer {
    let conf = rd_kafka_conf_new()!
    var text = [CChar](repeating: 0, count: 512)
    for (name, value) in properties.settings {
      guard rd_kafka_conf_set(conf, name, value, &text, text.count) == RD_KAFKA_CONF_OK else {
        rd_kafka_conf_destroy(conf)
        throw properties.refused(name, reason: string(text))
      }
    }
    return conf
  }

  /// Serves the callbacks that wait; does not block.
  func poll() { rd_kafka_poll(raw, 0) }

  /// Another queue of this handle, owned by it from now on; its events wake the thread.
  func adopt(_ queue: OpaquePointer) -> OpaquePointer {
    queues.append(queue)
    wakeOn(queue)
    return queue
  }

  /// Destroys the handle and everything on it; blocks until its threads have ended.
  ///
  /// - Parameter abruptly: without leaving a group, as a process that is killed does.
  func destroy(abruptly: Bool = false) {
    if isDestroyed { return }
    letGo()
    rd_kafka_destroy_flags(raw, abruptly ? Int32(RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) : 0)
  }

  /// Leaves the handle to the process's end, because destroying it would end the process: see ``ConsumerHandle``.
  func leave() {
    if isDestroyed { return }
    letGo()
    // It may still log.
    _ = Unmanaged.passRetained(context)
  }

  private func letGo() {
    isDestroyed = true
    context.beginClosing()
    context.endStatistics()
    for queue in queues {
      rd_kafka_queue_cb_event_enable(queue, nil, nil)
      rd_kafka_queue_destroy(queue)
    }
    queues = []
  }

  private func wakeOn(_ queue: OpaquePointer) {
    // Not retained: the event is switched off before the thread can go.
    rd_kafka_queue_cb_event_enable(
      queue, { _, opaque in if let opaque { Unmanaged<HandleThread>.fromOpaque(opaque).takeUnretainedValue().wake() } },
      Unmanaged.passUnretained(thread).toOpaque())
  }

  static func string(_ text: [CChar]) -> String {
    String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
