/// A member of a consumer group: reads the partitions that the group assigns to it.
///
/// Delivery is at least once, from the committed offsets on; with ``TransactionalWriter`` it is exactly once, log to log.
/// When partitions move, reading goes on from what the group committed.
public protocol GroupReader: RecordReader {
  /// The partitions this member reads now, each with a number that is new whenever the member takes the partition: work
  /// on records that were read under another number may be somebody else's by now.
  var ownership: [TopicPartition: Int64] { get async }

  /// Commits the next offsets to read, atomically and durably.
  ///
  /// - Throws: ``MessageLogError`` with `.fenced` when a partition has moved to another member; then nothing was
  ///   committed.
  func commit(_ offsets: [TopicPartition: Int64]) async throws

  /// What this member may commit for now; take it beside the records it is to cover.
  ///
  /// - Throws: ``MessageLogError`` with `.closed`, or `.unavailable` when the group cannot be reached.
  var membership: GroupMembership { get async throws }
}

extension GroupReader {
  /// The partitions this member reads now.
  public var assignment: Set<TopicPartition> { get async { Set(await ownership.keys) } }
}
