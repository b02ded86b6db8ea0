import Foundation
import GRDB
public import MessageLog
import Synchronization

/// The embedded log: one SQLite file that any number of processes on one machine share.
///
/// Delivery, ordering, transactions and groups are as ``MessageLog`` says, all of it. What is acknowledged was synced to
/// disk (`synchronous = FULL`). A reader that waits is woken by commits of this process directly and of others through a
/// watched file. Beside `PATH` lie SQLite's `-wal` and `-shm`, and `-notify`; the first two belong to the log.
///
/// It does not work over network file systems, and does not share a file between machines.
public final class SQLiteLog: MessageLog {
  private let store: Store
  private let appender: Appender
  private let commits: CommitQueue
  private let janitor: Janitor
  private let readers = Mutex<(next: Int, groups: [Int: Weak])>((0, [:]))

  /// A group reader that leaves its group when the log is closed.
  private struct Weak: Sendable {
    weak var reader: SQLiteGroupReader?
  }

  /// Opens the log, or creates it where there is no file; the folder must exist.
  ///
  /// - Throws: ``MessageLogError``: `.invalid` (no such folder, another kind of SQLite file, another format), `.corrupt`,
  ///   `.readOnly`, `.full`, `.unavailable`.
  public init(path: String, options: Options = Options()) throws(MessageLogError) {
    store = try Store(path: path, options: options)
    appender = Appender(store: store)
    commits = CommitQueue(store: store)
    janitor = Janitor(store: store)
  }

  /// Everything.
  public var capabilities: LogCapabilities { LogCapabilities(name: "embedded log (SQLite)", erasure: true) }

  /// Creates topics, all or none.
  public func create(_ topics: [TopicConfiguration]) async throws {
    for topic in topics { try topic.validate() }
    try await store.writeAndAnnounce { db in
      for topic in topics { try TopicTable.create(db, topic) }
    }
  }

  /// Changes topics, all or none.
  public func alter(_ topics: [TopicConfiguration]) async throws {
    for topic in topics { try topic.validate() }
    try await store.writeAndAnnounce { db in
      for topic in topics { try TopicTable.alter(db, topic) }
    }
    store.forgetTopics()
  }

  /// All topics, by name.
  public func topics() async throws -> [TopicConfiguration] {
    try await store.read { try TopicTable.all($0) }
  }

  /// Appends records to any partitions, in one durable transaction; appends that come at the same time may share it.
  public func append(_ records: [NewRecord]) async throws -> [RecordPosition] {
    if records.isEmpty { return [] }
    let prepared = try await appender.prepare(records)
    let positions = try await commits.append(prepared, count: records.count)
    janitor.poke()
    return positions
  }

  /// Takes the id; older writers that have it, in any process, are fenced from now on.
  public func transactionalWriter(id: String) async throws -> any TransactionalWriter {
    try await SQLiteTransactionalWriter(id: id, store: store, appender: appender, janitor: janitor)
  }

  /// Joins a group; the lease is renewed in the background until the reader or the log is closed.
  public func groupReader(
    group: String, topics: [String], options: ReaderOptions
  ) async throws -> any GroupReader {
    try options.validate()
    try LogChecks.group(group, topics: topics)
    for topic in topics { _ = try await store.topic(topic) }
    let slot = readers.withLock { readers in
      readers.next += 1
      return readers.next
    }
    let reader = SQLiteGroupReader(
      store: store, group: group, topics: Array(Set(topics)), options: options,
      onClose: { [weak self] in self?.readers.withLock { _ = $0.groups.removeValue(forKey: slot) } })
    readers.withLock { $0.groups[slot] = Weak(reader: reader) }
    do { try await reader.start() } catch {
      await reader.close()
      throw error
    }
    return reader
  }

  /// Reads partitions without a group.
  public func reader(
    of partitions: [TopicPartition: StartPosition], options: ReaderOptions
  ) async throws -> any RecordReader {
    try options.validate()
    var ids: [TopicPartition: Int64] = [:]
    for place in partitions.keys { ids[place] = try await store.partitionID(place) }
    let known = ids
    let starts = try await store.read { db in
      try known.reduce(into: [TopicPartition: Int64]()) { starts, item in
        let position = partitions[item.key] ?? .earliest
        starts[item.key] = try PartitionRows.resolve(db, item.key, id: item.value, position, options.onLostRange)
      }
    }
    var queue = PartitionQueue(options: options)
    for (place, start) in starts { if let id = known[place] { queue.add(place, id: id, at: start) } }
    return SQLiteReader(store: store, queue: queue)
  }

  /// The bounds of what can be read.
  public func watermarks(of partition: TopicPartition) async throws -> Watermarks {
    let id = try await store.partitionID(partition)
    return try await store.read { try PartitionRows.watermarks($0, id: id) }
  }

  /// The offset of the first record with this timestamp or a later one, nil where none is.
  public func offset(of partition: TopicPartition, at timestamp: Int64) async throws -> Int64? {
    let id = try await store.partitionID(partition)
    return try await store.read { try PartitionRows.offset($0, partition, id: id, at: timestamp) }
  }

  /// What a group has committed.
  public func committedOffsets(group: String) async throws -> [TopicPartition: Int64] {
    try await store.read { try GroupTable.committed($0, group: group) }
  }

  /// Applies retention and compaction now, in short transactions; freed space is used again, the file does not shrink.
  public func maintain() async throws -> MaintenanceReport {
    try await Maintenance(store: store, isLazy: false).run()
  }

  /// Erases single records, batch by batch; when this returns, neither the file nor its write-ahead log has their bytes.
  ///
  /// - Throws: also `.unavailable` where a long read keeps the bytes in the files; doing the same again later removes them.
  public func erase(_ offsets: [TopicPartition: Set<Int64>]) async throws -> Int {
    var count = 0
    for (place, wanted) in offsets.sorted(by: { $0.key < $1.key }) {
      count += try await Erasing(place: place, id: try await store.partitionID(place)).run(wanted, store: store)
    }
    try await store.emptyWriteAheadLog()
    return count
  }

  /// Reads everything once and checks it: SQLite's own structure, and the checksum and records of every batch.
  ///
  /// - Returns: the number of records.
  /// - Throws: ``MessageLogError`` with `.corrupt`, naming the first damage.
  public func verify() async throws -> Int {
    let path = store.path
    try await store.read { db in
      let verdict = try db.row("PRAGMA quick_check(1)")?.text(0, of: "quick_check") ?? "no answer"
      guard verdict == "ok" else {
        throw MessageLogError(
          .corrupt, "the log \(path) is damaged", found: String(verdict.prefix(200)),
          advice: "stop using it and restore it from a backup")
      }
    }
    var count = 0
    for topic in try await topics() {
      let entry = try await store.topic(topic.name, partition: topic.partitions - 1)
      for (number, id) in entry.partitionIDs.enumerated() {
        count += try await verify(TopicPartition(topic: topic.name, partition: number), id: id)
      }
    }
    return count
  }

  private func verify(_ place: TopicPartition, id: Int64) async throws -> Int {
    var count = 0
    var cursor: Int64 = 0
    while true {
      try Task.checkCancellation()
      let from = cursor
      let batches = try await store.read {
        try PartitionRows.batches($0, place, id: id, from: from, maximumBytes: Maintenance.chunkBytes)
      }
      guard let last = batches.last else { return count }
      for batch in batches { count += try StoredBatch.records(of: batch).count }
      cursor = last.next
    }
  }

  /// Leaves groups and closes the file; the last process to do so leaves one whole file.
  public func close() async throws {
    await janitor.stop()
    for reader in groupReaders { await reader.close() }
    try await store.close(tidies: true)
  }

  /// Closes without leaving groups, as a process that is killed does: for tests of take-over.
  package func abandon() async throws {
    await janitor.stop()
    for reader in groupReaders { await reader.abandon() }
    try await store.close(tidies: false)
  }

  /// Bytes that wait in a reader's memory, for tests of the bound; nil where it is not a plain reader of this log.
  package func queuedBytes(of reader: any RecordReader) async -> Int? {
    await (reader as? SQLiteReader)?.queuedBytes
  }

  private var groupReaders: [SQLiteGroupReader] {
    readers.withLock { $0.groups.values.compactMap(\.reader) }
  }
}
