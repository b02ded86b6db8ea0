import CRdKafka
import Logging
import MessageLog

/// The idempotent producer of a log, on its thread.
///
/// Appends are handed over in the order in which they come. While librdkafka's queue is full the next one waits until
/// delivery reports have made room. A producer that an error has made useless fails what it has, and gives way to a new one at the
/// next append: callers know how long to wait before they try again.
actor Appender {
  private let thread: HandleThread
  private let properties: ClientProperties
  private let logger: Logger
  private var producer: ProducerHandle
  private var waiting: [Pending] = []
  private var isClosed = false
  /// Who waits for the reports of an append; not who was cancelled.
  private var callers: [UInt64: CheckedContinuation<[RecordPosition], any Error>] = [:]
  private var nextCaller: UInt64 = 0
  /// What made the last producer useless, until there is a new one.
  private var fatal: (code: rd_kafka_resp_err_t, text: String)?

  nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

  private struct Pending {
    let records: [NewRecord]
    let batch: DeliveryBatch
    var next = 0
  }

  init(properties: ClientProperties, logger: Logger) throws(MessageLogError) {
    self.properties = properties
    self.logger = logger
    thread = HandleThread("kafka-append")
    do {
      producer = try ProducerHandle(properties: properties, logger: logger, thread: thread)
    } catch {
      thread.stop()
      throw error
    }
    thread.setPump { [weak self] in
      self?.assumeIsolated { $0.serve() }
      return nil
    }
  }

  deinit { thread.stop() }

  /// Appends records whose partitions are chosen; returns when the brokers have acknowledged all of them. What was handed over
  /// goes its way also where the caller is cancelled, who does not wait for it.
  func append(_ records: [NewRecord]) async throws -> [RecordPosition] {
    if isClosed { throw MessageLogError.closed("log") }
    if fatal != nil { try replace() }
    let caller = nextCaller
    nextCaller += 1
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        callers[caller] = continuation
        let batch = DeliveryBatch(records) { reports, failure in
          guard let continuation = self.callers.removeValue(forKey: caller) else { return }
          if let failure {
            continuation.resume(throwing: self.failure(failure, records))
          } else {
            continuation.resume(returning: reports)
          }
        }
        waiting.append(Pending(records: records, batch: batch))
        serve()
      }
    } onCancel: {
      Task { await self.letGo(caller) }
    }
  }

  private func letGo(_ caller: UInt64) { callers.removeValue(forKey: caller)?.resume(throwing: CancellationError()) }

  func close() {
    if isClosed { return }
    isClosed = true
    for pending in waiting {
      pending.batch.giveUp(pending.records.count - pending.next, RD_KAFKA_RESP_ERR__DESTROY)
    }
    waiting = []
    producer.close()
  }

  private func serve() {
    if isClosed || fatal != nil { return }
    producer.poll()
    if producer.isSpent { return give(up: producer) }
    while !waiting.isEmpty {
      guard produce(&waiting[0]) else { return }
      waiting.removeFirst()
    }
  }

  /// Hands over as much of an append as there is room for; returns whether that was all.
  private func produce(_ pending: inout Pending) -> Bool {
    // Through a pointer: records taken out of the array would be retained and released, field by field, for each.
    pending.records.withUnsafeBufferPointer { records in
      while pending.next < records.count {
        let code = producer.produce(records[pending.next], slot: pending.batch.slot(pending.next))
        if code == RD_KAFKA_RESP_ERR__QUEUE_FULL { return false }
        if let code {
          pending.batch.giveUp(records.count - pending.next, code)
          return true
        }
        pending.next += 1
      }
      return true
    }
  }

  private func give(up spent: ProducerHandle) {
    let reason = spent.context.fatal ?? (RD_KAFKA_RESP_ERR__FATAL, "an unknown reason")
    fatal = reason
    logger.warning("kafka: the producer cannot go on", metadata: ["reason": "\(reason.text)"])
    spent.close()
    for pending in waiting { pending.batch.giveUp(pending.records.count - pending.next, RD_KAFKA_RESP_ERR__FATAL) }
    waiting = []
  }

  private func replace() throws(MessageLogError) {
    producer = try ProducerHandle(properties: properties, logger: logger, thread: thread)
    fatal = nil
  }

  private func failure(_ code: rd_kafka_resp_err_t, _ records: [NewRecord]) -> MessageLogError {
    // What a useless producer still held failed for its reason.
    let cause = fatal ?? producer.context.fatal ?? (code, nil as String?)
    return KafkaFailure.error(
      cause.0, "appending \(records.count) records", topic: records.first?.topic, partition: records.first?.partition,
      detail: cause.1)
  }
}
