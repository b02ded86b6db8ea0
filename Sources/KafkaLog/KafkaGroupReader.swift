import MessageLog

/// A member of a consumer group.
///
/// Its thread answers the group all the time, so that slow processing costs no membership. The position of a partition is
/// known from the first answer of the log on.
final class KafkaGroupReader: GroupReader {
  private let consumer: Consumer

  init(_ consumer: Consumer) { self.consumer = consumer }

  var ownership: [TopicPartition: Int64] { get async { await consumer.ownership } }

  func commit(_ offsets: [TopicPartition: Int64]) async throws { try await consumer.commit(offsets) }

  var membership: GroupMembership { get async throws { try await consumer.membership() } }

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
