import Foundation
import GRDB
import MessageLog
import Synchronization

/// The open file: connections, retries, and the announcement of commits.
///
/// Blocking calls into SQLite run on GRDB's own queues (one writer, a few readers), never on Swift's cooperative pool.
final class Store: Sendable {
  let path: String
  let options: SQLiteLog.Options
  let signal = ChangeSignal()
  private let pool: DatabasePool
  private let beacon: CommitBeacon
  private let checkpointer: Checkpointer
  private let identity: UInt64
  private let isClosed = Mutex(false)
  private let catalogue = Mutex<[String: (entry: TopicEntry, readAt: ContinuousClock.Instant)]>([:])
  /// How old what is remembered of a topic may be: another process may change it at any time.
  private static let topicLifetime = Duration.seconds(60)

  /// Opens or creates the file.
  init(path: String, options: SQLiteLog.Options) throws(MessageLogError) {
    self.path = path
    self.options = options
    let opened = try Self.open(path: path, options: options)
    pool = opened.pool
    identity = opened.identity
    beacon = try CommitBeacon(path: path, signal: signal)
    checkpointer = Checkpointer(path: path)
    // The beacon was last written after a commit that was durable by then, and is read before the log: a log with
    // fewer commits than its beacon lost some.
    if let announced = beacon.commits(identity: identity) {
      let commits: UInt64
      do { commits = try pool.read { try Self.commits($0) } } catch {
        throw (Failure.translate(error, path: path) as? MessageLogError) ?? Failure.damagedRow("log")
      }
      if commits < announced {
        throw MessageLogError(
          .corrupt, "the log \(path) has lost commits that were acknowledged", expected: "\(announced) commits",
          found: "\(commits)",
          advice:
            "restore the log with its -wal file; if you put an older backup here on purpose, delete \(path)-notify")
      }
    }
  }

  private static func commits(_ db: Database) throws -> UInt64 {
    guard let row = try db.row("SELECT commits FROM log WHERE id = 1") else { throw Failure.damagedRow("log") }
    return UInt64(bitPattern: try row.integer(0, of: "log"))
  }

  private static func open(
    path: String, options: SQLiteLog.Options
  ) throws(MessageLogError) -> (pool: DatabasePool, identity: UInt64) {
    guard (1...64).contains(options.maximumReaders) else {
      throw MessageLogError(
        .invalid, "the log's options do not hold", expected: "maximumReaders from 1 to 64",
        found: "\(options.maximumReaders)", advice: "correct the option")
    }
    // Two processes that create one file at the same moment meet locks for which SQLite does not wait by itself.
    let deadline = SystemTime.bootMilliseconds() + max(1000, options.busyTimeout.milliseconds)
    while true {
      do {
        let pool = try DatabasePool(path: path, configuration: configuration(options))
        try pool.writeWithoutTransaction { db in
          // GRDB chooses NORMAL with WAL, under which a loss of power may undo the newest commits.
          try db.execute(sql: "PRAGMA synchronous = FULL")
          try db.execute(sql: "PRAGMA wal_autocheckpoint = 4096")
          try db.execute(sql: "PRAGMA journal_size_limit = 134217728")
          // What is erased, compacted or too old is overwritten with zeros, whatever this build of SQLite does by itself.
          try db.execute(sql: "PRAGMA secure_delete = ON")
          if let maximum = options.maximumBytes { try limit(db, to: maximum) }
        }
        return (pool, try pool.write { try Schema.prepare($0, path: path) })
      } catch {
        let failure = Failure.translate(error, path: path)
        guard let failure = failure as? MessageLogError else { throw Failure.damagedRow("log") }
        guard failure.code == .unavailable, SystemTime.bootMilliseconds() < deadline,
          let code = (error as? DatabaseError)?.resultCode, code == .SQLITE_BUSY || code == .SQLITE_LOCKED
        else { throw failure }
        Thread.sleep(forTimeInterval: 0.02)
      }
    }
  }

  private static func configuration(_ options: SQLiteLog.Options) -> Configuration {
    var configuration = Configuration()
    configuration.label = "retort-log"
    configuration.busyMode = .timeout(Double(max(0, options.busyTimeout.milliseconds)) / 1000)
    configuration.maximumReaderCount = options.maximumReaders
    configuration.foreignKeysEnabled = false
    configuration.prepareDatabase { db in
      if !db.configuration.readonly { try db.execute(sql: "PRAGMA page_size = 16384") }
      try db.execute(sql: "PRAGMA cache_size = -8192")
    }
    return configuration
  }

  private static func limit(_ db: Database, to bytes: Int64) throws {
    let page = try db.row("PRAGMA page_size")?.integer(0, of: "pragma") ?? 16384
    try db.execute(sql: "PRAGMA max_page_count = \(max(1, bytes / max(1, page)))")
  }

  /// Throws when the log has been closed.
  func check() throws(MessageLogError) {
    if isClosed.withLock({ $0 }) { throw .closed("log") }
  }

  /// Reads one consistent snapshot.
  func read<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws -> T {
    try check()
    do { return try await pool.read(body) } catch { throw translate(error) }
  }

  /// Runs one transaction, durable when this returns, and again where another process was in the way.
  func write<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws -> T {
    var attempt = 0
    while true {
      try check()
      do {
        return try await pool.write(body)
      } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY && attempt < 3 {
        // The transaction was rolled back: nothing is appended twice.
        attempt += 1
        try await Task.sleep(for: .milliseconds(Int64.random(in: 5...50) << attempt))
      } catch {
        throw translate(error)
      }
    }
  }

  /// As ``write(_:)``, and tells all waiting readers, here and in other processes.
  ///
  /// - Parameter bytes: about how much is appended.
  func writeAndAnnounce<T: Sendable>(
    appending bytes: Int = 0, _ body: @escaping @Sendable (Database) throws -> T
  ) async throws -> T {
    let (result, commits) = try await write { db in
      let result = try body(db)
      guard let row = try db.row("UPDATE log SET commits = commits + 1 WHERE id = 1 RETURNING commits") else {
        throw Failure.damagedRow("log")
      }
      return (result, UInt64(bitPattern: try row.integer(0, of: "log")))
    }
    beacon.announce(identity: identity, commits: commits)
    checkpointer.appended(bytes)
    return result
  }

  /// Copies the write-ahead log into the main file and empties it: until then neither has lost what was erased.
  ///
  /// It waits for reads under way, here and in other processes.
  ///
  /// - Throws: `.unavailable` where one goes on for longer than writers wait.
  func emptyWriteAheadLog() async throws {
    let patience = options.busyTimeout.milliseconds
    let deadline = SystemTime.bootMilliseconds() + patience
    while true {
      try check()
      do {
        return try await pool.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
      } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
        guard SystemTime.bootMilliseconds() < deadline else {
          throw MessageLogError(
            .unavailable,
            "the records are removed, but the bytes stay in the files of the log \(path) while it is read",
            expected: "no read longer than \(patience) ms",
            advice: "wait for the other process to end, such as a backup or `retort doctor`, then do the same again")
        }
        // For another connection that copies SQLite does not wait by itself.
        try await Task.sleep(for: .milliseconds(20))
      } catch {
        throw translate(error)
      }
    }
  }

  /// Closes the connections; what waits is woken and finds the log closed.
  ///
  /// - Parameter tidies: whether the last one to close leaves one whole file.
  func close(tidies: Bool) async throws {
    let first = isClosed.withLock { closed in
      defer { closed = true }
      return !closed
    }
    guard first else { return }
    beacon.stop()
    let (pool, path, checkpointer) = (pool, path, checkpointer)
    do {
      try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
        DispatchQueue.global().async {
          continuation.resume(
            with: Result {
              checkpointer.close()
              try pool.close()
              // The pool closes its writer before its read-only connections, and those cannot fold the write-ahead log
              // into the main file: a last connection that may write does.
              if tidies { try? DatabaseQueue(path: path).close() }
            })
        }
      }
    } catch { throw translate(error) }
  }

  private func translate(_ error: any Error) -> any Error {
    if isClosed.withLock({ $0 }), error is DatabaseError { return MessageLogError.closed("log") }
    return Failure.translate(error, path: path)
  }

  /// Forgets what is remembered of topics, because they were changed.
  func forgetTopics() { catalogue.withLock { $0 = [:] } }

  /// A topic, remembered for a while, and read again where it or the partition is not known: other processes make both.
  ///
  /// - Throws: `.unknownTopic`.
  func topic(_ name: String, partition: Int? = nil) async throws -> TopicEntry {
    if let known = catalogue.withLock({ $0[name] }), .now - known.readAt < Self.topicLifetime,
      known.entry.partitionIDs.indices.contains(partition ?? 0)
    {
      return known.entry
    }
    guard let entry = try await read({ try TopicTable.entry($0, name: name) }) else {
      throw MessageLogError.unknown(name)
    }
    catalogue.withLock { $0[name] = (entry, .now) }
    guard entry.partitionIDs.indices.contains(partition ?? 0) else {
      throw MessageLogError.unknown(name, partition: partition)
    }
    return entry
  }

  /// A partition's row.
  func partitionID(_ partition: TopicPartition) async throws -> Int64 {
    try await topic(partition.topic, partition: partition.partition).partitionIDs[partition.partition]
  }
}
