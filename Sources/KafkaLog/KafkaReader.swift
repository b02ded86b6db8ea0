import MessageLog

/// Reads given partitions, without a group.
final class KafkaReader: RecordReader {
  private let consumer: Consumer

  init(_ consumer: Consumer) { self.consumer = consumer }

  func next(maximum: Int, timeout: Duration) async throws -> [Record] {
    try await consumer.next(maximum: maximum, timeout: timeout)
  }

  func seek(_ partition: TopicPartition, to position: StartPosition) async throws {
    try await consumer.seek(partition, to: position)
  }

  var positions: [TopicPartition: Int64] { get async { await consumer.positions } }

  func pause(_ partitions: Set<TopicPartition>) async { await consumer.pause(partitions) }

  func resume(_ partitions: Set<TopicPartition>) async { await consumer.resume(partitions) }

  func close() async { await consumer.close() }
}
