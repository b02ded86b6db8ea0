import GRDB
import MessageLog
import Synchronization

/// A writer of transactions, each one SQLite transaction.
final class SQLiteTransactionalWriter: TransactionalWriter {
  let id: String
  private let epoch: Int64
  private let store: Store
  private let appender: Appender
  private let janitor: Janitor
  private let isClosed = Mutex(false)

  /// Takes the id; older writers that have it are fenced from now on.
  init(id: String, store: Store, appender: Appender, janitor: Janitor) async throws {
    try LogChecks.transactionalID(id)
    self.id = id
    self.store = store
    self.appender = appender
    self.janitor = janitor
    epoch = try await store.write { db in
      let row = try db.row(
        "INSERT INTO writer VALUES (?, 1) ON CONFLICT DO UPDATE SET epoch = epoch + 1 RETURNING epoch", [id])
      guard let row else { throw Failure.damagedRow("writer") }
      return try row.integer(0, of: "writer")
    }
  }

  func commit(append records: [NewRecord], offsets: GroupOffsets?) async throws -> [RecordPosition] {
    if isClosed.withLock({ $0 }) { throw MessageLogError.closed("transactional writer") }
    let prepared = try await appender.prepare(records)
    let (id, epoch) = (id, epoch)
    let bytes = prepared.reduce(0) { $0 + $1.batch.data.count }
    let positions = try await store.writeAndAnnounce(appending: bytes) { db in
      try Self.check(db, id: id, epoch: epoch)
      if let offsets { try GroupTable.commit(db, offsets) }
      return try Appender.store(db, prepared, count: records.count)
    }
    janitor.poke()
    return positions
  }

  func close() async { isClosed.withLock { $0 = true } }

  private static func check(_ db: Database, id: String, epoch: Int64) throws {
    let row = try db.row("SELECT epoch FROM writer WHERE id = ?", [id])
    let current = try row?.integer(0, of: "writer") ?? 0
    guard current == epoch else {
      throw MessageLogError(
        .fenced, "a newer writer has taken the transactional id \(id)", expected: "epoch \(epoch)",
        found: "epoch \(current)", advice: "stop this writer: another process does its work now")
    }
  }
}
