import MessageLog

/// What is known of topics, so that appending need not ask each time: partitions, limits, and whose turn it is.
actor TopicDirectory {
  private let administrator: Administrator
  private let knowsSettings: Bool
  private var topics: [String: TopicConfiguration] = [:]
  private var turns: [String: Int] = [:]
  private var readAt: ContinuousClock.Instant?
  private var reading: Task<[TopicConfiguration], any Error>?
  /// How old the knowledge may be: partitions may be added at any time.
  private static let lifetime = Duration.seconds(60)

  init(administrator: Administrator, knowsSettings: Bool) {
    self.administrator = administrator
    self.knowsSettings = knowsSettings
  }

  /// All topics, as they are now.
  func refresh() async throws -> [TopicConfiguration] {
    let task = reading ?? Task { [administrator] in try await administrator.topics() }
    reading = task
    defer { reading = nil }
    let found = try await task.value
    topics = Dictionary(uniqueKeysWithValues: found.map { ($0.name, $0) })
    readAt = .now
    return found
  }

  /// A topic, asked for again where it is not known.
  ///
  /// - Throws: `.unknownTopic`.
  func topic(_ name: String, partition: Int? = nil) async throws -> TopicConfiguration {
    for isFresh in [false, true] {
      if isFresh || readAt.map({ .now - $0 > Self.lifetime }) ?? true { _ = try await refresh() }
      if let topic = topics[name], (0..<topic.partitions).contains(partition ?? 0) { return topic }
    }
    throw MessageLogError.unknown(name, partition: topics[name] == nil ? nil : partition)
  }

  /// Chooses the partition of each record, and checks what the topic demands, before anything is sent.
  ///
  /// - Throws: `.unknownTopic`, `.tooLarge`, `.invalid`.
  func place(_ records: [NewRecord]) async throws -> [NewRecord] {
    var last: TopicConfiguration?
    var placed = records
    for index in records.indices {
      let partition = records[index].partition
      let topic: TopicConfiguration
      if let last, last.name == records[index].topic, (0..<last.partitions).contains(partition ?? 0) {
        topic = last
      } else {
        topic = try await self.topic(records[index].topic, partition: partition)
        last = topic
      }
      if knowsSettings { try Self.check(records[index], topic) }
      if partition == nil { placed[index].partition = choosePartition(for: records[index], topic) }
    }
    return placed
  }

  private func choosePartition(for record: NewRecord, _ topic: TopicConfiguration) -> Int {
    if let key = record.key { return Partitioner.partition(of: key, partitions: topic.partitions) }
    let turn = turns[topic.name, default: 0]
    turns[topic.name] = turn &+ 1
    return turn % topic.partitions
  }

  private static func check(_ record: NewRecord, _ topic: TopicConfiguration) throws(MessageLogError) {
    guard record.byteCount <= topic.maximumMessageBytes else {
      throw MessageLogError(
        .tooLarge, "the record exceeds the topic's limit", topic: topic.name,
        expected: "at most \(topic.maximumMessageBytes) bytes of key, value and headers",
        found: "\(record.byteCount)", advice: "make the record smaller, or raise the topic's limit")
    }
    guard record.key != nil || !topic.cleanup.contains(.compact) else {
      throw MessageLogError(
        .invalid, "a record without a key cannot go into a compacted topic", topic: topic.name, expected: "a key",
        advice: "give the record a key")
    }
  }
}
