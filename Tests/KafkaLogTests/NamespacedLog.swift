import KafkaLog
import MessageLog

/// A log on a shared broker that looks fresh and empty: all names get a prefix that nobody else has.
struct NamespacedLog: MessageLog {
  let log: KafkaLog
  let prefix: String

  var capabilities: LogCapabilities { log.capabilities }

  func create(_ topics: [TopicConfiguration]) async throws { try await log.create(topics.map(full)) }

  func alter(_ topics: [TopicConfiguration]) async throws { try await log.alter(topics.map(full)) }

  func topics() async throws -> [TopicConfiguration] {
    try await log.topics().filter { $0.name.hasPrefix(prefix) }.map { topic in
      var topic = topic
      topic.name = short(topic.name)
      return topic
    }
  }

  func append(_ records: [NewRecord]) async throws -> [RecordPosition] {
    try await log.append(records.map(full)).map(short)
  }

  func transactionalWriter(id: String) async throws -> any TransactionalWriter {
    NamespacedWriter(
      writer: try await log.transactionalWriter(id: id.isEmpty ? id : prefix + id), names: self, id: id)
  }

  func groupReader(group: String, topics: [String], options: ReaderOptions) async throws -> any GroupReader {
    NamespacedReader(
      reader: try await log.groupReader(group: prefix + group, topics: topics.map { prefix + $0 }, options: options),
      names: self)
  }

  func reader(of partitions: [TopicPartition: StartPosition], options: ReaderOptions) async throws -> any RecordReader {
    NamespacedReader(reader: try await log.reader(of: full(partitions), options: options), names: self)
  }

  func watermarks(of partition: TopicPartition) async throws -> Watermarks {
    try await log.watermarks(of: full(partition))
  }

  func offset(of partition: TopicPartition, at timestamp: Int64) async throws -> Int64? {
    try await log.offset(of: full(partition), at: timestamp)
  }

  func committedOffsets(group: String) async throws -> [TopicPartition: Int64] {
    short(try await log.committedOffsets(group: prefix + group))
  }

  func maintain() async throws -> MaintenanceReport { try await log.maintain() }
  func close() async throws { try await log.close() }

  // MARK: - Names

  func full(_ place: TopicPartition) -> TopicPartition {
    TopicPartition(topic: prefix + place.topic, partition: place.partition)
  }
  func short(_ place: TopicPartition) -> TopicPartition {
    TopicPartition(topic: short(place.topic), partition: place.partition)
  }
  func full<V>(_ values: [TopicPartition: V]) -> [TopicPartition: V] {
    Dictionary(uniqueKeysWithValues: values.map { (full($0.key), $0.value) })
  }
  func short<V>(_ values: [TopicPartition: V]) -> [TopicPartition: V] {
    Dictionary(uniqueKeysWithValues: values.map { (short($0.key), $0.value) })
  }
  func full(_ record: NewRecord) -> NewRecord {
    var record = record
    record.topic = prefix + record.topic
    return record
  }
  func short(_ position: RecordPosition) -> RecordPosition {
    var position = position
    position.topicPartition = short(position.topicPartition)
    return position
  }
  private func full(_ topic: TopicConfiguration) -> TopicConfiguration {
    var topic = topic
    topic.name = prefix + topic.name
    return topic
  }
  private func short(_ name: String) -> String { String(name.dropFirst(prefix.count)) }
}

private final class NamespacedReader: GroupReader {
  private let reader: any RecordReader
  private let names: NamespacedLog

  init(reader: any RecordReader, names: NamespacedLog) {
    self.reader = reader
    self.names = names
  }

  private var member: any GroupReader {
    get throws {
      guard let member = reader as? any GroupReader else {
        throw MessageLogError(.invalid, "a reader without a group", advice: "join one")
      }
      return member
    }
  }

  func next(maximum: Int, timeout: Duration) async throws -> [Record] {
    try await reader.next(maximum: maximum, timeout: timeout).map { record in
      var record = record
      record.topic = names.short(record.topicPartition).topic
      return record
    }
  }
  func seek(_ partition: TopicPartition, to position: StartPosition) async throws {
    try await reader.seek(names.full(partition), to: position)
  }
  var positions: [TopicPartition: Int64] { get async { names.short(await reader.positions) } }
  func close() async { await reader.close() }

  var ownership: [TopicPartition: Int64] {
    get async { names.short((try? await member.ownership) ?? [:]) }
  }
  func commit(_ offsets: [TopicPartition: Int64]) async throws { try await member.commit(names.full(offsets)) }
  var membership: GroupMembership { get async throws { try await member.membership } }
}

private final class NamespacedWriter: TransactionalWriter {
  let id: String
  private let writer: any TransactionalWriter
  private let names: NamespacedLog

  init(writer: any TransactionalWriter, names: NamespacedLog, id: String) {
    self.writer = writer
    self.names = names
    self.id = id
  }

  func commit(append records: [NewRecord], offsets: GroupOffsets?) async throws -> [RecordPosition] {
    var offsets = offsets
    if let given = offsets { offsets?.offsets = names.full(given.offsets) }
    return try await writer.commit(append: records.map { names.full($0) }, offsets: offsets).map { names.short($0) }
  }
  func close() async { await writer.close() }
}
