import GRDB
import MessageLog

/// The tables of a log file.
enum Schema {
  /// Marks an SQLite file as a log: "RTRT".
  static let applicationID: Int64 = 0x5254_5254
  /// Grows when the tables change.
  static let version: Int64 = 1

  // Strict tables keep a wrong type out; integer columns that grow (`next`, `commits`, `generation`, `epoch`) are the
  // log's promises: offsets are never used twice, and whoever holds an older epoch is fenced.
  private static let tables = """
    CREATE TABLE log (
      id INTEGER PRIMARY KEY CHECK (id = 1), identity INTEGER NOT NULL, commits INTEGER NOT NULL,
      maintained INTEGER NOT NULL) STRICT;
    CREATE TABLE topic (
      name TEXT PRIMARY KEY, partitions INTEGER NOT NULL, cleanup TEXT NOT NULL, retention_ms INTEGER,
      retention_bytes INTEGER, maximum_message_bytes INTEGER NOT NULL, timestamp_type TEXT NOT NULL,
      compaction_lag_ms INTEGER NOT NULL, delete_retention_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE partition (
      id INTEGER PRIMARY KEY, topic TEXT NOT NULL, number INTEGER NOT NULL, low INTEGER NOT NULL,
      next INTEGER NOT NULL, clean INTEGER NOT NULL, bytes INTEGER NOT NULL, UNIQUE (topic, number)) STRICT;
    CREATE TABLE batch (
      id INTEGER PRIMARY KEY, partition INTEGER NOT NULL, base INTEGER NOT NULL, next INTEGER NOT NULL,
      count INTEGER NOT NULL, max_time INTEGER NOT NULL, appended INTEGER NOT NULL, tombstones INTEGER NOT NULL,
      checksum INTEGER NOT NULL, bytes INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
    CREATE UNIQUE INDEX batch_position ON batch (partition, base);
    CREATE INDEX batch_time ON batch (partition, base, next, max_time, bytes);
    CREATE TABLE writer (id TEXT PRIMARY KEY, epoch INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE reader_group (
      name TEXT PRIMARY KEY, generation INTEGER NOT NULL, joined INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE member (
      id TEXT PRIMARY KEY, reader_group TEXT NOT NULL, joined INTEGER NOT NULL, boot TEXT NOT NULL,
      deadline INTEGER NOT NULL, topics TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE assignment (
      reader_group TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, member TEXT,
      epoch INTEGER NOT NULL, PRIMARY KEY (reader_group, topic, partition)) STRICT, WITHOUT ROWID;
    CREATE TABLE committed (
      reader_group TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL,
      PRIMARY KEY (reader_group, topic, partition)) STRICT, WITHOUT ROWID;
    """

  /// Creates the tables in an empty file, or checks that the file is a log this version knows.
  ///
  /// - Returns: the log's identity.
  /// - Throws: `.invalid`, `.corrupt`, or SQLite's error.
  static func prepare(_ db: Database, path: String) throws -> UInt64 {
    let application = try db.row("PRAGMA application_id")?.integer(0, of: "pragma") ?? 0
    let version = try db.row("PRAGMA user_version")?.integer(0, of: "pragma") ?? 0
    let objects = try db.row("SELECT count(*) FROM sqlite_master")?.integer(0, of: "sqlite_master") ?? 0
    if application == 0, version == 0, objects == 0 {
      try create(db)
    } else if application != applicationID {
      throw MessageLogError(
        .invalid, "the file \(path) is an SQLite database of something else", expected: "a log, or no file",
        found: "application id \(application)", advice: "choose another path")
    } else if version != self.version {
      throw MessageLogError(
        .invalid, "the log \(path) has another format", expected: "format \(self.version)", found: "format \(version)",
        advice: version > self.version ? "use a newer version of the program" : "use the version that wrote it")
    }
    guard let row = try db.row("SELECT identity FROM log WHERE id = 1") else { throw Failure.damagedRow("log") }
    return UInt64(bitPattern: try row.integer(0, of: "log"))
  }

  private static func create(_ db: Database) throws {
    try db.execute(sql: tables)
    try db.execute(
      sql: "INSERT INTO log VALUES (1, ?, 0, ?)",
      arguments: [Int64.random(in: .min ... .max), SystemTime.wallMilliseconds()])
    try db.execute(sql: "PRAGMA application_id = \(applicationID)")
    try db.execute(sql: "PRAGMA user_version = \(version)")
  }
}
