import CRdKafka
import Logging
import MessageLog

/// The idempotent producer of a log, on its thread.
///
/// Appends are handed over in the order in which they come. While librdkafka's queue is full the next one waits until
/// delivery reports have made room. A producer that an error has made useless is replaced by a new one.
actor Appender {
  private let thread: HandleThread
  private let properties: ClientProperties
  private let logger: Logger
  private var producer: ProducerHandle
  private var waiting: [Pending] = []
  private var isClosed = false

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

  /// Appends records whose partitions are chosen; returns when the brokers have acknowledged all of them.
  func append(_ records: [NewRecord]) async throws -> [RecordPosition] {
    if isClosed { throw MessageLogError.closed("log") }
    return try await withCheckedThrowingContinuation { continuation in
      let batch = DeliveryBatch(records) { reports, failure in
        if let failure {
          continuation.resume(throwing: Self.failure(failure, records))
        } else {
          continuation.resume(returning: reports)
        }
      }
      waiting.append(Pending(records: records, batch: batch))
      serve()
    }
  }

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
    if isClosed { return }
    producer.poll()
    if producer.isSpent { replace() }
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

  private func replace() {
    let reason = producer.context.fatal?.text ?? "an unknown reason"
    logger.warning("kafka: the producer is replaced by a new one", metadata: ["reason": "\(reason)"])
    producer.close()
    do {
      producer = try ProducerHandle(properties: properties, logger: logger, thread: thread)
    } catch {
      isClosed = true
      for pending in waiting {
        pending.batch.giveUp(pending.records.count - pending.next, RD_KAFKA_RESP_ERR__FATAL)
      }
      waiting = []
    }
  }

  private static func failure(_ code: rd_kafka_resp_err_t, _ records: [NewRecord]) -> MessageLogError {
    KafkaFailure.error(
      code, "appending \(records.count) records", topic: records.first?.topic, partition: records.first?.partition)
  }
}
