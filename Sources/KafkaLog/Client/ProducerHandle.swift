import CRdKafka
import Logging
import MessageLog

/// A producer's handle with the topics it knows; used on its thread only.
final class ProducerHandle {
  private let client: ClientHandle
  private var topics: [String: OpaquePointer] = [:]
  /// The topic of the last record: most have the same, and hashing its name for each is dear.
  private var lastTopic: (name: String, raw: OpaquePointer)?
  private var units: [rd_kafka_vu_t] = []
  private var isClosed = false

  init(properties: ClientProperties, logger: Logger, thread: HandleThread) throws(MessageLogError) {
    client = try ClientHandle(RD_KAFKA_PRODUCER, properties: properties, logger: logger, thread: thread)
  }

  deinit { close() }

  var context: ClientContext { client.context }

  /// Whether an error has made this producer useless.
  var isSpent: Bool {
    context.fatal != nil || rd_kafka_fatal_error(client.raw, nil, 0) != RD_KAFKA_RESP_ERR_NO_ERROR
  }

  /// Serves delivery reports and other callbacks; does not block.
  func poll() { client.poll() }

  /// Serves delivery reports, waiting for the first for at most this many milliseconds.
  func poll(milliseconds: Int32) { rd_kafka_poll(client.raw, milliseconds) }

  /// Drops what is not delivered, reports it as failed, and destroys the handle.
  func close() {
    if isClosed { return }
    isClosed = true
    rd_kafka_purge(client.raw, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT)
    rd_kafka_flush(client.raw, 1_000)
    for topic in topics.values { rd_kafka_topic_destroy(topic) }
    topics = [:]
    client.destroy()
  }

  /// Hands a record, whose partition is chosen, to librdkafka, which copies it; the report goes to `slot`.
  ///
  /// - Returns: nil, or why it was not taken; then no report will come. `_QUEUE_FULL`: try again after reports have come.
  func produce(_ record: NewRecord, slot: UnsafeMutableRawPointer) -> rd_kafka_resp_err_t? {
    guard let topic = topic(record.topic) else { return rd_kafka_last_error() }
    let code = produce(record, topic, slot)
    // The partition was added after this producer had looked.
    guard code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, lookAgain(topic) else { return code }
    return produce(record, topic, slot)
  }

  private func lookAgain(_ topic: OpaquePointer) -> Bool {
    var found: UnsafePointer<rd_kafka_metadata>?
    guard rd_kafka_metadata(client.raw, 0, topic, &found, 5_000) == RD_KAFKA_RESP_ERR_NO_ERROR else { return false }
    rd_kafka_metadata_destroy(found)
    return true
  }

  private func produce(
    _ record: NewRecord, _ topic: OpaquePointer, _ slot: UnsafeMutableRawPointer
  ) -> rd_kafka_resp_err_t? {
    if record.headers.isEmpty, record.timestamp == nil { return producePlain(record, topic, slot) }
    let headers = Self.headers(record.headers)
    let error = Self.withBytes(record.key) { key in
      Self.withBytes(record.value) { value -> OpaquePointer? in
        units.removeAll(keepingCapacity: true)
        add(RD_KAFKA_VTYPE_RKT) { $0.u.rkt = topic }
        add(RD_KAFKA_VTYPE_PARTITION) { $0.u.i32 = record.partition.map(Int32.init) ?? RD_KAFKA_PARTITION_UA }
        add(RD_KAFKA_VTYPE_MSGFLAGS) { $0.u.i = Int32(RD_KAFKA_MSG_F_COPY) }
        add(RD_KAFKA_VTYPE_OPAQUE) { $0.u.ptr = slot }
        if let key { add(RD_KAFKA_VTYPE_KEY) { Self.set(&$0, key) } }
        if let value { add(RD_KAFKA_VTYPE_VALUE) { Self.set(&$0, value) } }
        if let time = record.timestamp { add(RD_KAFKA_VTYPE_TIMESTAMP) { $0.u.i64 = time } }
        if let headers { add(RD_KAFKA_VTYPE_HEADERS) { $0.u.headers = headers } }
        return rd_kafka_produceva(client.raw, units, units.count)
      }
    }
    guard let error else { return nil }
    if let headers { rd_kafka_headers_destroy(headers) }
    return KafkaFailure.take(error).code
  }

  /// What has neither headers nor a time of its own goes by a call that costs less.
  private func producePlain(
    _ record: NewRecord, _ topic: OpaquePointer, _ slot: UnsafeMutableRawPointer
  ) -> rd_kafka_resp_err_t? {
    let partition = record.partition.map(Int32.init) ?? RD_KAFKA_PARTITION_UA
    let result = Self.withBytes(record.key) { key in
      Self.withBytes(record.value) { value in
        rd_kafka_produce(
          topic, partition, Int32(RD_KAFKA_MSG_F_COPY),
          value.flatMap { UnsafeMutableRawPointer(mutating: $0.baseAddress) },
          value?.count ?? 0, key?.baseAddress, key?.count ?? 0, slot)
      }
    }
    return result == 0 ? nil : rd_kafka_last_error()
  }

  private func add(_ type: rd_kafka_vtype_t, _ fill: (inout rd_kafka_vu_t) -> Void) {
    var unit = rd_kafka_vu_t()
    unit.vtype = type
    fill(&unit)
    units.append(unit)
  }

  private static func set(_ unit: inout rd_kafka_vu_t, _ bytes: UnsafeRawBufferPointer) {
    unit.u.mem.ptr = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
    unit.u.mem.size = bytes.count
  }

  /// Bytes as librdkafka tells nothing from empty: by the address.
  private static func withBytes<R>(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) -> R) -> R {
    guard let bytes else { return body(nil) }
    if bytes.isEmpty {
      return withUnsafeBytes(of: UInt8(0)) { body(UnsafeRawBufferPointer(start: $0.baseAddress, count: 0)) }
    }
    return bytes.withUnsafeBytes { body($0) }
  }

  private static func headers(_ headers: [Header]) -> OpaquePointer? {
    if headers.isEmpty { return nil }
    let list = rd_kafka_headers_new(headers.count)
    for header in headers {
      withBytes(header.value) { bytes in
        _ = rd_kafka_header_add(list, header.name, -1, bytes?.baseAddress, bytes?.count ?? 0)
      }
    }
    return list
  }

  private func topic(_ name: String) -> OpaquePointer? {
    if let lastTopic, lastTopic.name == name { return lastTopic.raw }
    guard let topic = topics[name] ?? rd_kafka_topic_new(client.raw, name, nil) else { return nil }
    topics[name] = topic
    lastTopic = (name, topic)
    return topic
  }

  // MARK: - Transactions

  /// What a call about a transaction came to: nil, or the error with its class.
  typealias Failure = (code: rd_kafka_resp_err_t, text: String, fault: KafkaFailure.Fault)

  /// Takes over the transactional id; blocks for at most this many milliseconds.
  func initTransactions(milliseconds: Int32) -> Failure? {
    rd_kafka_init_transactions(client.raw, milliseconds).map(KafkaFailure.take)
  }

  func begin() -> Failure? { rd_kafka_begin_transaction(client.raw).map(KafkaFailure.take) }

  func sendOffsets(_ offsets: GroupOffsets, milliseconds: Int32) -> Failure? {
    let instance = GroupIdentity(offsets.membership.token)?.instance
    let member = rd_kafka_consumer_group_metadata_new_with_genid(
      offsets.membership.group, Int32(truncatingIfNeeded: offsets.membership.generation), offsets.membership.memberID,
      instance)
    defer { rd_kafka_consumer_group_metadata_destroy(member) }
    let list = PartitionList(offsets.offsets)
    return rd_kafka_send_offsets_to_transaction(client.raw, list.pointer, member, milliseconds)
      .map(KafkaFailure.take)
  }

  func commit(milliseconds: Int32) -> Failure? {
    rd_kafka_commit_transaction(client.raw, milliseconds).map(KafkaFailure.take)
  }

  func abort(milliseconds: Int32) -> Failure? {
    rd_kafka_abort_transaction(client.raw, milliseconds).map(KafkaFailure.take)
  }
}
