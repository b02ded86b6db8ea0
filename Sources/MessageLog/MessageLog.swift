/// A durable, partitioned, ordered log of records, with Kafka's semantics.
///
/// Every method may be called from any task at any time. Errors are ``MessageLogError``, or `CancellationError` when the
/// calling task was cancelled; then whether an append took place is unknown.
public protocol MessageLog: Sendable {
  /// What this log really does.
  var capabilities: LogCapabilities { get }

  /// Creates topics; one that exists with the same configuration is fine.
  ///
  /// - Throws: `.conflict` where a topic exists with another configuration, `.invalid`; then no topic was created.
  func create(_ topics: [TopicConfiguration]) async throws

  /// Changes topics in place: their settings, and more partitions than before.
  ///
  /// With more partitions, keys go elsewhere than before.
  ///
  /// - Throws: `.unknownTopic`, `.invalid` for fewer partitions; topics before the one it names are changed.
  func alter(_ topics: [TopicConfiguration]) async throws

  /// All topics, by name.
  func topics() async throws -> [TopicConfiguration]

  /// Appends records; they are durable when it returns, and appended once even where the log had to retry.
  ///
  /// Records of one partition keep their order. Whether records of several partitions appear together depends on the
  /// log: use a transaction where it matters.
  ///
  /// - Returns: one position a record, in the order given.
  /// - Throws: `.unknownTopic` (also of a partition that is not there), `.tooLarge`, `.invalid` (no key in a compacted topic),
  ///   `.full`, `.readOnly`, `.unavailable`.
  func append(_ records: [NewRecord]) async throws -> [RecordPosition]

  /// A writer of transactions; any older writer with this id is fenced from now on.
  func transactionalWriter(id: String) async throws -> any TransactionalWriter

  /// Joins a consumer group that reads these topics.
  func groupReader(group: String, topics: [String], options: ReaderOptions) async throws -> any GroupReader

  /// Reads partitions without a group.
  ///
  /// - Throws: `.unknownTopic`, and `.outOfRange` as ``RecordReader/seek(_:to:)``.
  func reader(of partitions: [TopicPartition: StartPosition], options: ReaderOptions) async throws -> any RecordReader

  /// The bounds of what can be read now.
  func watermarks(of partition: TopicPartition) async throws -> Watermarks

  /// The offset of the first record whose timestamp is this (milliseconds since 1970) or later; nil where none is.
  func offset(of partition: TopicPartition, at timestamp: Int64) async throws -> Int64?

  /// What a group has committed; empty for a group nobody has heard of.
  func committedOffsets(group: String) async throws -> [TopicPartition: Int64]

  /// Applies compaction and retention now, where the log can be asked to.
  func maintain() async throws -> MaintenanceReport

  /// Erases single records, in every topic, where the log can: readers find holes, as after compaction.
  ///
  /// - Returns: how many records there were to erase; offsets that hold none are ignored.
  /// - Throws: `.unsupported` where the log cannot, `.unknownTopic`.
  func erase(_ offsets: [TopicPartition: Set<Int64>]) async throws -> Int

  /// Closes readers, writers and the log. Closing twice is harmless; everything else then throws `.closed`.
  func close() async throws
}

extension MessageLog {
  /// A log that removes records only by age, size or key cannot erase.
  public func erase(_ offsets: [TopicPartition: Set<Int64>]) async throws -> Int {
    throw MessageLogError(
      .unsupported, "\(capabilities.name) cannot erase single records",
      advice: "let retention or compaction remove them")
  }
}
