import CRdKafka
import MessageLog

/// Where one record's delivery report goes.
struct DeliverySlot {
  /// The batch, alive until all of its reports have come.
  var batch: Unmanaged<DeliveryBatch>
  var offset: Int64 = -1
  var timestamp: Int64 = -1
}

/// The delivery reports of one append; used on the producer's thread only.
///
/// The slots lie side by side, and each message carries the address of its own, so that a report costs no allocation.
final class DeliveryBatch {
  private let slots: UnsafeMutablePointer<DeliverySlot>
  private let records: [NewRecord]
  private var open: Int
  private var keepAlive: DeliveryBatch?
  private var firstFailure: rd_kafka_resp_err_t?
  private let done: ([RecordPosition], rd_kafka_resp_err_t?) -> Void

  /// A batch of records whose partitions are chosen; `done` is called once, when the last report has come, with their
  /// positions.
  init(_ records: [NewRecord], done: @escaping ([RecordPosition], rd_kafka_resp_err_t?) -> Void) {
    self.records = records
    self.done = done
    let count = records.count
    open = count
    slots = .allocate(capacity: max(1, count))
    keepAlive = self
    slots.initialize(repeating: DeliverySlot(batch: Unmanaged.passUnretained(self)), count: count)
    if count == 0 { finish() }
  }

  deinit { slots.deallocate() }

  /// The slot of a record, to be the message's opaque pointer.
  func slot(_ index: Int) -> UnsafeMutableRawPointer { UnsafeMutableRawPointer(slots + index) }

  /// Takes a delivery report of librdkafka.
  static func report(_ message: UnsafePointer<rd_kafka_message_t>) {
    guard let slot = message.pointee._private?.assumingMemoryBound(to: DeliverySlot.self) else { return }
    var type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
    slot.pointee.offset = message.pointee.offset
    slot.pointee.timestamp = rd_kafka_message_timestamp(message, &type)
    slot.pointee.batch.takeUnretainedValue().close(1, message.pointee.err)
  }

  /// The last `number` records never became messages.
  func giveUp(_ number: Int, _ code: rd_kafka_resp_err_t) { close(number, code) }

  private func close(_ number: Int, _ code: rd_kafka_resp_err_t) {
    if code != RD_KAFKA_RESP_ERR_NO_ERROR, firstFailure == nil { firstFailure = code }
    open -= number
    if open == 0, number > 0 { finish() }
  }

  private func finish() {
    // Through a pointer, as in ``Appender``: each record would be copied for its topic's name.
    let positions = records.withUnsafeBufferPointer { records in
      records.indices.map { index in
        RecordPosition(
          topicPartition: TopicPartition(topic: records[index].topic, partition: records[index].partition ?? -1),
          offset: slots[index].offset, timestamp: slots[index].timestamp)
      }
    }
    done(positions, firstFailure)
    keepAlive = nil
  }
}
