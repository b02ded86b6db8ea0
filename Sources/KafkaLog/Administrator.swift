import CRdKafka
import Logging
import MessageLog

/// Looks at the cluster and changes topics, on a thread of its own.
actor Administrator {
  private let thread: HandleThread
  private let handle: AdminHandle
  private let servers: String
  private let options: KafkaLog.Options
  /// By group.
  private var offsetsHandles: [String: OffsetsHandle] = [:]
  private var isClosed = false

  nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

  init(servers: String, options: KafkaLog.Options) throws(MessageLogError) {
    self.servers = servers
    self.options = options
    thread = HandleThread("kafka-admin")
    do {
      handle = try AdminHandle(
        properties: ClientProperties(.administration, servers: servers, properties: options.properties),
        logger: options.logger, thread: thread)
    } catch {
      thread.stop()
      throw error
    }
    thread.setPump { [weak self] in
      self?.assumeIsolated { $0.poll() }
      return nil
    }
  }

  deinit { thread.stop() }

  /// The topics whose names begin with the prefix, with what may be known of their settings.
  func topics() throws -> [TopicConfiguration] {
    try check()
    let listed = try handle.listTopics().filter { $0.name.hasPrefix(options.topicPrefix) }
    let settings = options.managesTopics ? try handle.describe(listed.map(\.name)) : [:]
    return listed.map {
      TopicSettings.configuration(name: $0.name, partitions: $0.partitions, settings: settings[$0.name] ?? [:])
    }.sorted { $0.name < $1.name }
  }

  /// Creates topics that are missing, and waits until they can be used.
  func create(_ topics: [TopicConfiguration]) async throws {
    for topic in topics { try create(topic) }
    try await waitFor(Dictionary(uniqueKeysWithValues: topics.map { ($0.name, $0.partitions) }))
  }

  private func create(_ topic: TopicConfiguration) throws {
    try check()
    do {
      try handle.create(topic, replicationFactor: options.replicationFactor)
    } catch {
      // Somebody else may have been faster.
      guard error.code == .conflict, let found = try topics().first(where: { $0.name == topic.name }) else {
        throw error
      }
      if found != topic.canonical { throw TopicConflict.error(found: found, wanted: topic) }
    }
  }

  /// Makes topics what they are to be: settings, and more partitions where there are fewer.
  func alter(_ topics: [TopicConfiguration]) async throws {
    let found = Dictionary(uniqueKeysWithValues: try self.topics().map { ($0.name, $0) })
    for topic in topics {
      guard let existing = found[topic.name] else { throw MessageLogError.unknown(topic.name) }
      if topic.partitions < existing.partitions {
        throw MessageLogError.fewerPartitions(topic, than: existing.partitions)
      }
      try handle.set(TopicSettings.settings(of: topic), of: topic.name)
      if topic.partitions > existing.partitions {
        try handle.setPartitions(of: topic.name, to: topic.partitions)
      }
    }
    try await waitFor(Dictionary(uniqueKeysWithValues: topics.map { ($0.name, $0.partitions) }))
  }

  /// Brokers learn of changes one after the other.
  private func waitFor(_ partitions: [String: Int]) async throws {
    let deadline = ContinuousClock.now + .seconds(10)
    while true {
      let ready = try handle.listTopics().filter(\.isReady)
      let counts = Dictionary(ready.map { ($0.name, $0.partitions) }) { first, _ in first }
      if partitions.allSatisfy({ counts[$0.key] == $0.value }) || ContinuousClock.now > deadline { return }
      try await Task.sleep(for: .milliseconds(20))
      try check()
    }
  }

  func offsets(_ times: [TopicPartition: Int64]) throws -> [TopicPartition: Int64] {
    try check()
    return try handle.offsets(times)
  }

  func watermarks(of place: TopicPartition) throws -> Watermarks {
    try check()
    let high = try handle.offsets([place: OffsetLookup.end])[place] ?? 0
    let low = try handle.offsets([place: OffsetLookup.oldest])[place] ?? 0
    return Watermarks(low: min(low, high), high: high)
  }

  /// What a group has committed; a transaction that is about to be decided is waited for.
  func committed(group: String) async throws -> [TopicPartition: Int64] {
    let deadline = ContinuousClock.now + .seconds(30)
    while true {
      try check()
      do {
        let topics = try handle.listTopics().filter { $0.name.hasPrefix(options.topicPrefix) }
        let places = topics.flatMap { topic in
          (0..<topic.partitions).map { TopicPartition(topic: topic.name, partition: $0) }
        }
        return try offsetsHandle(of: group).committed(in: places)
      } catch {
        guard error.isRetriable, ContinuousClock.now < deadline else { throw error }
        try await Task.sleep(for: .milliseconds(20))
      }
    }
  }

  private func offsetsHandle(of group: String) throws(MessageLogError) -> OffsetsHandle {
    if let handle = offsetsHandles[group] { return handle }
    let made = try OffsetsHandle(
      group: group, servers: servers, properties: options.properties, logger: options.logger, thread: thread)
    offsetsHandles[group] = made
    return made
  }

  private func poll() {
    if isClosed { return }
    handle.poll()
    for other in offsetsHandles.values { other.poll() }
  }

  /// Lets go of the handles. A question holds the thread until brokers answer or ten seconds have passed, and what it would say nobody
  /// wants any more: after this time nobody waits for that.
  nonisolated func close(within limit: Duration) async {
    // A task of its own, as one that is cancelled waits for nothing.
    _ = await Task { try? await FirstAnswer.of(within: limit) { await self.close() } }.value
  }

  private func close() {
    if isClosed { return }
    isClosed = true
    for other in offsetsHandles.values { other.close() }
    offsetsHandles = [:]
    handle.close()
  }

  private func check() throws(MessageLogError) {
    if isClosed { throw .closed("log") }
  }
}
