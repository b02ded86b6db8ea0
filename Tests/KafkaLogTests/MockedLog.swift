import KafkaLog
import MessageLog

/// A log on the mock cluster: the log itself, but topics are created behind its back, because the mock answers no
/// administrative call.
struct MockedLog: MessageLog {
  let cluster: MockCluster
  let log: KafkaLog

  /// What the mock does not fake; see each case for why it matters.
  var capabilities: LogCapabilities {
    LogCapabilities(
      name: "Kafka on librdkafka's mock cluster", transactions: false, fencing: false, groups: true,
      groupFencing: false,
      compaction: false, retention: false, maintenanceOnDemand: false, offsetsForTimes: false, logAppendTime: false,
      topicAdministration: false, durable: false)
  }

  func create(_ topics: [TopicConfiguration]) async throws {
    for topic in topics { try topic.validate() }
    for topic in topics { cluster.createTopic(topic.name, partitions: topic.partitions) }
    _ = try await log.topics()
  }

  func alter(_ topics: [TopicConfiguration]) async throws { try await log.alter(topics) }

  func topics() async throws -> [TopicConfiguration] { try await log.topics() }
  func append(_ records: [NewRecord]) async throws -> [RecordPosition] { try await log.append(records) }
  func transactionalWriter(id: String) async throws -> any TransactionalWriter {
    try await log.transactionalWriter(id: id)
  }
  func groupReader(group: String, topics: [String], options: ReaderOptions) async throws -> any GroupReader {
    try await log.groupReader(group: group, topics: topics, options: options)
  }
  func reader(of partitions: [TopicPartition: StartPosition], options: ReaderOptions) async throws -> any RecordReader {
    try await log.reader(of: partitions, options: options)
  }
  func watermarks(of partition: TopicPartition) async throws -> Watermarks {
    try await log.watermarks(of: partition)
  }
  func offset(of partition: TopicPartition, at timestamp: Int64) async throws -> Int64? {
    try await log.offset(of: partition, at: timestamp)
  }
  func committedOffsets(group: String) async throws -> [TopicPartition: Int64] {
    try await log.committedOffsets(group: group)
  }
  func maintain() async throws -> MaintenanceReport { try await log.maintain() }
  func close() async throws { try await log.close() }
}
