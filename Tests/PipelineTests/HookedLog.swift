import MessageLog
import Synchronization

/// A log at which a test makes things happen: its hooks run before calls go on to the log behind it.
final class HookedLog: MessageLog {
  private let log: any MessageLog
  private let willRead: @Sendable ([TopicPartition: StartPosition]) async throws -> Void
  private let willReadOffsets: @Sendable (String) async throws -> Void
  private let willErase: @Sendable () async throws -> Void
  private let willCommit: @Sendable () async throws -> Void
  /// How often group readers are to lose their partitions and get them back.
  private let rebalances = Mutex(0)

  /// - Parameters:
  ///   - willRead: called before a reader without a group is made, with where it starts.
  ///   - willReadOffsets: called before it is told what a group has committed, with its name.
  ///   - willErase: called before records are erased.
  ///   - willCommit: called before a transaction.
  init(
    _ log: any MessageLog, willErase: @escaping @Sendable () async throws -> Void = {},
    willCommit: @escaping @Sendable () async throws -> Void = {},
    willReadOffsets: @escaping @Sendable (String) async throws -> Void = { _ in },
    willRead: @escaping @Sendable ([TopicPartition: StartPosition]) async throws -> Void = { _ in }
  ) {
    self.willReadOffsets = willReadOffsets
    self.log = log
    self.willErase = willErase
    self.willCommit = willCommit
    self.willRead = willRead
  }

  /// Every group reader loses its partitions and gets them back, the next time that it is asked what it owns.
  func rebalance() { rebalances.withLock { $0 += 1 } }

  var capabilities: LogCapabilities { log.capabilities }
  func create(_ topics: [TopicConfiguration]) async throws { try await log.create(topics) }
  func alter(_ topics: [TopicConfiguration]) async throws { try await log.alter(topics) }
  func topics() async throws -> [TopicConfiguration] { try await log.topics() }
  func append(_ records: [NewRecord]) async throws -> [RecordPosition] { try await log.append(records) }
  func transactionalWriter(id: String) async throws -> any TransactionalWriter {
    Writer(try await log.transactionalWriter(id: id), willCommit: willCommit)
  }
  func groupReader(group: String, topics: [String], options: ReaderOptions) async throws -> any GroupReader {
    let reader = try await log.groupReader(group: group, topics: topics, options: options)
    return Member(reader, of: self, group: group)
  }
  func reader(of partitions: [TopicPartition: StartPosition], options: ReaderOptions) async throws -> any RecordReader {
    try await willRead(partitions)
    return try await log.reader(of: partitions, options: options)
  }
  func watermarks(of partition: TopicPartition) async throws -> Watermarks {
    try await log.watermarks(of: partition)
  }
  func offset(of partition: TopicPartition, at timestamp: Int64) async throws -> Int64? {
    try await log.offset(of: partition, at: timestamp)
  }
  func committedOffsets(group: String) async throws -> [TopicPartition: Int64] {
    try await willReadOffsets(group)
    return try await log.committedOffsets(group: group)
  }
  func maintain() async throws -> MaintenanceReport { try await log.maintain() }
  func erase(_ offsets: [TopicPartition: Set<Int64>]) async throws -> Int {
    try await willErase()
    return try await log.erase(offsets)
  }
  func close() async throws { try await log.close() }

  private final class Writer: TransactionalWriter {
    private let writer: any TransactionalWriter
    private let willCommit: @Sendable () async throws -> Void

    init(_ writer: any TransactionalWriter, willCommit: @escaping @Sendable () async throws -> Void) {
      self.writer = writer
      self.willCommit = willCommit
    }

    var id: String { writer.id }
    func commit(append records: [NewRecord], offsets: GroupOffsets?) async throws -> [RecordPosition] {
      try await willCommit()
      return try await writer.commit(append: records, offsets: offsets)
    }
    func close() async { await writer.close() }
  }

  /// A member that reads on from what the group has committed after each rebalance, under another number.
  private actor Member: GroupReader {
    private let reader: any GroupReader
    private let log: HookedLog
    private let group: String
    private var seen: Int

    init(_ reader: any GroupReader, of log: HookedLog, group: String) {
      self.reader = reader
      self.log = log
      self.group = group
      seen = log.rebalances.withLock { $0 }
    }

    var ownership: [TopicPartition: Int64] {
      get async {
        let rebalances = log.rebalances.withLock { $0 }
        let owned = await reader.ownership
        if rebalances > seen {
          seen = rebalances
          let committed = (try? await log.committedOffsets(group: group)) ?? [:]
          for partition in owned.keys {
            try? await reader.seek(partition, to: committed[partition].map { .offset($0) } ?? .earliest)
          }
        }
        return owned.mapValues { $0 + 1_000 * Int64(seen) }
      }
    }

    func next(maximum: Int, timeout: Duration) async throws -> [Record] {
      try await reader.next(maximum: maximum, timeout: timeout)
    }
    func commit(_ offsets: [TopicPartition: Int64]) async throws { try await reader.commit(offsets) }
    var membership: GroupMembership { get async throws { try await reader.membership } }
    func seek(_ partition: TopicPartition, to position: StartPosition) async throws {
      try await reader.seek(partition, to: position)
    }
    var positions: [TopicPartition: Int64] { get async { await reader.positions } }
    func close() async { await reader.close() }
  }
}
