import CRdKafka
import Logging
public import MessageLog
import Synchronization

/// The production log: Apache Kafka through librdkafka.
///
/// Delivery: appends are idempotent (`acks=all`), and durable as the topic's replication says; transactions are exactly
/// once, log to log. Ordering, groups and fencing are as ``MessageLog`` says. Back-pressure: appends wait while
/// librdkafka's queue is full; readers fetch no more than their options allow. Cancellation: a waiting read ends at once.
///
/// Each client of librdkafka (administration, appending, every reader, every transactional writer) has one thread, one
/// owner and is destroyed with it; nothing blocks Swift's threads.
///
/// It does not apply retention or compaction on demand: brokers do that in their own time.
public final class KafkaLog: MessageLog {
  private let servers: String
  private let options: Options
  private let administrator: Administrator
  private let directory: TopicDirectory
  private let state = Mutex(State())

  private struct State {
    var isClosed = false
    var appender: Appender?
    var next = 0
    var readers: [Int: WeakReader] = [:]
    var writers: [Int: WeakWriter] = [:]
  }

  private struct WeakReader: Sendable { weak var consumer: Consumer? }
  private struct WeakWriter: Sendable { weak var worker: TransactionWorker? }

  /// Opens the log; brokers are not talked to yet.
  ///
  /// - Parameters:
  ///   - servers: `host:port`, several with commas between.
  ///   - options: everything else.
  /// - Throws: `.invalid` for properties that librdkafka does not know or that may not be set.
  public init(servers: String, options: Options = Options()) throws(MessageLogError) {
    try ClientProperties.validate(options.properties)
    guard !servers.isEmpty else {
      throw MessageLogError(
        .invalid, "no broker is named", expected: "host:port", advice: "name at least one broker in log.url")
    }
    self.servers = servers
    self.options = options
    administrator = try Administrator(servers: servers, options: options)
    directory = TopicDirectory(administrator: administrator, knowsSettings: options.managesTopics)
  }

  /// Says whether librdkafka takes these properties, without talking to a broker.
  ///
  /// - Throws: `.invalid`, naming the first that it does not take, or that may not be set.
  public static func validate(_ properties: [String: String]) throws(MessageLogError) {
    try ClientProperties.validate(properties)
    let roles: [(rd_kafka_type_t, ClientProperties.Role)] = [
      (RD_KAFKA_PRODUCER, .administration), (RD_KAFKA_PRODUCER, .appending),
      (RD_KAFKA_PRODUCER, .transactions(id: "retort")), (RD_KAFKA_CONSUMER, .reading(ReaderOptions())),
      (RD_KAFKA_CONSUMER, .member(group: "retort", ReaderOptions())),
    ]
    for (kind, role) in roles {
      try ClientHandle.check(kind, ClientProperties(role, servers: "localhost:1", properties: properties))
    }
  }

  /// Properties that hold secrets: keep them out of files of settings.
  public static var secretProperties: Set<String> { ClientProperties.secret }

  /// Everything but maintenance, and erasing single records, on demand.
  public var capabilities: LogCapabilities {
    LogCapabilities(name: "Kafka (librdkafka \(String(cString: rd_kafka_version_str())))", maintenanceOnDemand: false)
  }

  // MARK: - Topics

  /// Creates topics; what is wrong with one is found before any is created.
  public func create(_ topics: [TopicConfiguration]) async throws {
    try check()
    for topic in topics { try topic.validate() }
    let found = Dictionary(uniqueKeysWithValues: try await directory.refresh().map { ($0.name, $0) })
    var missing: [TopicConfiguration] = []
    for topic in topics {
      guard let existing = found[topic.name] else {
        missing.append(topic)
        continue
      }
      guard existing == topic.canonical || !options.managesTopics else {
        throw TopicConflict.error(found: existing, wanted: topic)
      }
    }
    if missing.isEmpty { return }
    guard options.managesTopics else {
      throw MessageLogError(
        .unsupported, "topics are missing, or this user may not describe them",
        expected: missing.map(\.name).joined(separator: ", "),
        found: found.isEmpty ? "no topic of the prefix" : "others",
        advice:
          "have an administrator make them, or grant Describe on them; with log.manage_topics: true they are made from here"
      )
    }
    try await administrator.create(missing)
    _ = try await directory.refresh()
  }

  /// The topics with the prefix, by name, Kafka's own left out.
  public func topics() async throws -> [TopicConfiguration] {
    try check()
    return try await directory.refresh()
  }

  /// Changes topics in place: settings, and more partitions.
  public func alter(_ topics: [TopicConfiguration]) async throws {
    try check()
    guard options.managesTopics else {
      throw MessageLogError(
        .unsupported, "topics are not changed from here", topic: topics.first?.name,
        expected: "an administrator to do it",
        advice: "have it done, or set log.manage_topics to true")
    }
    for topic in topics { try topic.validate() }
    try await administrator.alter(topics)
    _ = try await directory.refresh()
  }

  // MARK: - Appending

  /// Appends records; where one fails after they were sent, others of the call may be in the log.
  ///
  /// - Returns: positions in the order given; the offset is -1 where a retry hid it from the client.
  public func append(_ records: [NewRecord]) async throws -> [RecordPosition] {
    try check()
    if records.isEmpty { return [] }
    let placed = try await directory.place(records)
    return try await appender().append(placed)
  }

  private func appender() throws(MessageLogError) -> Appender {
    let properties = ClientProperties(.appending, servers: servers, properties: options.properties)
    let logger = options.logger
    return try state.withLock { state throws(MessageLogError) in
      if state.isClosed { throw .closed("log") }
      if let appender = state.appender { return appender }
      let appender = try Appender(properties: properties, logger: logger)
      state.appender = appender
      return appender
    }
  }

  /// Takes the transactional id; a transaction that an older writer left open is aborted.
  public func transactionalWriter(id: String) async throws -> any TransactionalWriter {
    try check()
    try LogChecks.transactionalID(id)
    let worker = TransactionWorker(
      id: id, properties: ClientProperties(.transactions(id: id), servers: servers, properties: options.properties),
      logger: options.logger)
    try await worker.open()
    let slot = state.withLock { state in
      state.next += 1
      state.writers[state.next] = WeakWriter(worker: worker)
      return state.next
    }
    return KafkaTransactionalWriter(
      id: id, worker: worker, directory: directory,
      onClose: { [weak self] in self?.state.withLock { _ = $0.writers.removeValue(forKey: slot) } })
  }

  // MARK: - Reading

  /// Joins a group; partitions come when the group has made up its mind, in Kafka's default after 3 seconds.
  public func groupReader(
    group: String, topics: [String], options readerOptions: ReaderOptions
  ) async throws -> any GroupReader {
    try check()
    try readerOptions.validate()
    try LogChecks.group(group, topics: topics)
    for topic in topics { _ = try await directory.topic(topic) }
    let consumer = try consumer(group: group, readerOptions)
    do {
      try await consumer.subscribe(Array(Set(topics)))
    } catch {
      await consumer.close()
      throw error
    }
    return consumer
  }

  /// Reads partitions without a group; an offset that is not there shows when reading.
  public func reader(
    of partitions: [TopicPartition: StartPosition], options readerOptions: ReaderOptions
  ) async throws -> any RecordReader {
    try check()
    try readerOptions.validate()
    for place in partitions.keys { _ = try await directory.topic(place.topic, partition: place.partition) }
    let consumer = try consumer(group: nil, readerOptions)
    do {
      try await consumer.assign(partitions)
    } catch {
      await consumer.close()
      throw error
    }
    return consumer
  }

  private func consumer(group: String?, _ readerOptions: ReaderOptions) throws(MessageLogError) -> Consumer {
    let slot = state.withLock { state in
      state.next += 1
      return state.next
    }
    let consumer = try Consumer(
      group: group, options: readerOptions, servers: servers, properties: options.properties, logger: options.logger,
      onClose: { [weak self] in self?.state.withLock { _ = $0.readers.removeValue(forKey: slot) } })
    state.withLock { $0.readers[slot] = WeakReader(consumer: consumer) }
    return consumer
  }

  // MARK: - Looking

  /// The oldest offset and the end; what lies below the end is committed, or in a transaction about to be decided.
  public func watermarks(of partition: TopicPartition) async throws -> Watermarks {
    try check()
    _ = try await directory.topic(partition.topic, partition: partition.partition)
    return try await administrator.watermarks(of: partition)
  }

  /// The offset of the first record with this timestamp or a later one, nil where none is.
  public func offset(of partition: TopicPartition, at timestamp: Int64) async throws -> Int64? {
    try check()
    _ = try await directory.topic(partition.topic, partition: partition.partition)
    let offset = try await administrator.offsets([partition: max(0, timestamp)])[partition] ?? -1
    return offset < 0 ? nil : offset
  }

  /// What a group has committed in the topics with the prefix; waits for transactions that are being decided.
  public func committedOffsets(group: String) async throws -> [TopicPartition: Int64] {
    try check()
    return try await administrator.committed(group: group)
  }

  /// Nothing: brokers apply retention and compaction in their own time.
  public func maintain() async throws -> MaintenanceReport {
    try check()
    return MaintenanceReport()
  }

  // MARK: - Ending

  /// Leaves groups, closes readers and writers, and lets go of every client.
  public func close() async throws { await close(abruptly: false) }

  /// Closes without leaving groups, as a process that is killed does: for tests of take-over.
  package func abandon() async { await close(abruptly: true) }

  private func close(abruptly: Bool) async {
    let (readers, writers, appender) = state.withLock { state in
      state.isClosed = true
      defer { state.appender = nil }
      return (state.readers.values.compactMap(\.consumer), state.writers.values.compactMap(\.worker), state.appender)
    }
    for reader in readers { await reader.end(abruptly: abruptly) }
    for writer in writers { await writer.close() }
    await appender?.close()
    await administrator.close(within: .seconds(1))
  }

  private func check() throws(MessageLogError) {
    if state.withLock({ $0.isClosed }) { throw .closed("log") }
  }
}
