import GRDB
import MessageLog

/// A topic with the rows of its partitions.
struct TopicEntry: Sendable {
  var configuration: TopicConfiguration
  /// Row numbers in the table `partition`, by partition number.
  var partitionIDs: [Int64]
}

/// The tables `topic` and `partition`.
enum TopicTable {
  private static let columns = """
    name, partitions, cleanup, retention_ms, retention_bytes, maximum_message_bytes, timestamp_type,
    compaction_lag_ms, delete_retention_ms
    """

  /// All topics, by name.
  static func all(_ db: Database) throws -> [TopicConfiguration] {
    try db.rows("SELECT \(columns) FROM topic ORDER BY name").map(configuration)
  }

  /// One topic, nil where there is none.
  static func entry(_ db: Database, name: String) throws -> TopicEntry? {
    guard let row = try db.row("SELECT \(columns) FROM topic WHERE name = ?", [name]) else { return nil }
    let topic = try configuration(row)
    let rows = try db.rows("SELECT id, number FROM partition WHERE topic = ? ORDER BY number", [name])
    var ids: [Int64] = []
    for row in rows {
      guard try row.integer(1, of: "partition") == Int64(ids.count) else { throw Failure.damagedRow("partition") }
      ids.append(try row.integer(0, of: "partition"))
    }
    guard ids.count == topic.partitions else { throw Failure.damagedRow("partition") }
    return TopicEntry(configuration: topic, partitionIDs: ids)
  }

  /// Creates what is missing.
  ///
  /// - Throws: `.conflict`; the caller's transaction then undoes everything.
  static func create(_ db: Database, _ topic: TopicConfiguration) throws {
    if let existing = try entry(db, name: topic.name)?.configuration {
      guard existing == topic else { throw conflict(existing, topic) }
      return
    }
    try db.run(
      "INSERT INTO topic (\(columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      [
        topic.name, topic.partitions, cleanup(topic),
        topic.retentionMilliseconds, topic.retentionBytes, topic.maximumMessageBytes, topic.timestampType.rawValue,
        topic.minimumCompactionLagMilliseconds, topic.deleteRetentionMilliseconds,
      ])
    try addPartitions(db, topic, from: 0)
  }

  /// Changes a topic's settings, and gives it more partitions.
  ///
  /// - Throws: `.unknownTopic`, `.invalid`; the caller's transaction then undoes everything.
  static func alter(_ db: Database, _ topic: TopicConfiguration) throws {
    guard let existing = try entry(db, name: topic.name)?.configuration else {
      throw MessageLogError.unknown(topic.name)
    }
    if topic.partitions < existing.partitions {
      throw MessageLogError.fewerPartitions(topic, than: existing.partitions)
    }
    try db.run(
      """
      UPDATE topic SET partitions = ?, cleanup = ?, retention_ms = ?, retention_bytes = ?, maximum_message_bytes = ?,
        timestamp_type = ?, compaction_lag_ms = ?, delete_retention_ms = ? WHERE name = ?
      """,
      [
        topic.partitions, cleanup(topic), topic.retentionMilliseconds, topic.retentionBytes, topic.maximumMessageBytes,
        topic.timestampType.rawValue, topic.minimumCompactionLagMilliseconds, topic.deleteRetentionMilliseconds,
        topic.name,
      ])
    try addPartitions(db, topic, from: existing.partitions)
  }

  private static func cleanup(_ topic: TopicConfiguration) -> String {
    topic.cleanup.map(\.rawValue).sorted().joined(separator: ",")
  }

  private static func addPartitions(_ db: Database, _ topic: TopicConfiguration, from first: Int) throws {
    for number in first..<topic.partitions {
      try db.run(
        "INSERT INTO partition (topic, number, low, next, clean, bytes) VALUES (?, ?, 0, 0, 0, 0)",
        [topic.name, number]
      )
    }
  }

  private static func configuration(_ row: Row) throws(MessageLogError) -> TopicConfiguration {
    var cleanup: Set<CleanupPolicy> = []
    for name in try row.text(2, of: "topic").split(separator: ",") {
      guard let policy = CleanupPolicy(rawValue: String(name)) else { throw Failure.damagedRow("topic") }
      cleanup.insert(policy)
    }
    guard let type = TimestampType(rawValue: try row.text(6, of: "topic")),
      let partitions = Int(exactly: try row.integer(1, of: "topic")),
      let maximum = Int(exactly: try row.integer(5, of: "topic"))
    else { throw Failure.damagedRow("topic") }
    let topic = TopicConfiguration(
      name: try row.text(0, of: "topic"), partitions: partitions, cleanup: cleanup,
      retentionMilliseconds: try row.optionalInteger(3, of: "topic"),
      retentionBytes: try row.optionalInteger(4, of: "topic"), maximumMessageBytes: maximum, timestampType: type,
      minimumCompactionLagMilliseconds: try row.integer(7, of: "topic"),
      deleteRetentionMilliseconds: try row.integer(8, of: "topic"))
    do { try topic.validate() } catch { throw Failure.damagedRow("topic") }
    return topic
  }

  private static func conflict(_ old: TopicConfiguration, _ new: TopicConfiguration) -> MessageLogError {
    func show(_ topic: TopicConfiguration) -> String {
      let cleanup = topic.cleanup.map(\.rawValue).sorted().joined(separator: "+")
      func number(_ value: Int64?) -> String { value.map { "\($0)" } ?? "none" }
      return "partitions \(topic.partitions), cleanup \(cleanup.isEmpty ? "none" : cleanup), retention_ms "
        + "\(number(topic.retentionMilliseconds)), retention_bytes \(number(topic.retentionBytes)), "
        + "maximum_message_bytes \(topic.maximumMessageBytes), timestamps \(topic.timestampType.rawValue), "
        + "compaction_lag_ms \(topic.minimumCompactionLagMilliseconds), "
        + "delete_retention_ms \(topic.deleteRetentionMilliseconds)"
    }
    return MessageLogError(
      .conflict, "the topic exists with another configuration", topic: new.name, expected: show(new),
      found: show(old), advice: "use the configuration it has, or another name or prefix")
  }
}
