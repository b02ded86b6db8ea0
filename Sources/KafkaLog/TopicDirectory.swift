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

  /// All topics, as they are now. Who is cancelled does not wait for brokers that are away; the question goes on for others.
  func refresh() async throws -> [TopicConfiguration] {
    let task = reading ?? Task { try await read() }
    reading = task
    let (results, arrival) = AsyncStream.makeStream(of: Result<[TopicConfiguration], any Error>.self)
    Task { arrival.yield(await task.result) }
    for await result in results { return try result.get() }
    throw CancellationError()
  }

  private func read() async throws -> [TopicConfiguration] {
    defer { reading = nil }
    let found = try await administrator.topics()
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
    var placed = records
    var next = 0
    while next < records.count {
      let topic = try await self.topic(records[next].topic, partition: records[next].partition)
      let stretch = next..<(try end(of: topic, in: records, from: next))
      for index in Self.unplaced(records, stretch) {
        placed[index].partition = choosePartition(for: records[index], topic)
      }
      next = stretch.upperBound
    }
    return placed
  }

  /// How far records from `start` on belong to a topic as it is known; checks them.
  private func end(
    of topic: TopicConfiguration, in records: [NewRecord], from start: Int
  ) throws(MessageLogError) -> Int {
    // Through a pointer, as in ``Appender``.
    try records.withUnsafeBufferPointer { (records) throws(MessageLogError) in
      for index in start..<records.count {
        guard records[index].topic == topic.name, (0..<topic.partitions).contains(records[index].partition ?? 0) else {
          return index
        }
        if knowsSettings { try LogChecks.record(records[index], in: topic) }
      }
      return records.count
    }
  }

  /// Which of these records have no partition yet.
  private static func unplaced(_ records: [NewRecord], _ stretch: Range<Int>) -> [Int] {
    records.withUnsafeBufferPointer { records in stretch.filter { records[$0].partition == nil } }
  }

  private func choosePartition(for record: NewRecord, _ topic: TopicConfiguration) -> Int {
    if let key = record.key { return Partitioner.partition(of: key, partitions: topic.partitions) }
    let turn = turns[topic.name, default: 0]
    turns[topic.name] = turn &+ 1
    return turn % topic.partitions
  }
}
