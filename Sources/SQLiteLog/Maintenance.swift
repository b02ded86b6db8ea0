import GRDB
import MessageLog

/// Retention and compaction, in short transactions: appends and reads go on meanwhile, in other processes too, and being
/// killed in between does no harm.
struct Maintenance: Sendable {
  /// Bytes that one transaction rewrites at most (or one batch).
  static let chunkBytes = 4 << 20
  /// Keys that one pass of compaction remembers at most; what lies beyond waits for the next pass.
  static let maximumKeys = 1_000_000
  static let maximumKeyBytes = 256 << 20

  let store: Store
  /// Whether a partition is compacted only when at least half of it is new since the last time.
  let isLazy: Bool

  /// Goes through all topics.
  func run() async throws -> MaintenanceReport {
    var report = MaintenanceReport()
    for topic in try await store.read({ try TopicTable.all($0) }) where !topic.cleanup.isEmpty {
      let entry = try await store.topic(topic.name, partition: topic.partitions - 1)
      for (number, id) in entry.partitionIDs.enumerated() {
        let place = TopicPartition(topic: topic.name, partition: number)
        try Task.checkCancellation()
        if topic.cleanup.contains(.delete) { try await expire(topic, id: id, &report) }
        if topic.cleanup.contains(.compact) { try await compact(topic, place, id: id, &report) }
      }
    }
    return report
  }

  // MARK: Retention

  private func expire(_ topic: TopicConfiguration, id: Int64, _ report: inout MaintenanceReport) async throws {
    if topic.retentionMilliseconds == nil, topic.retentionBytes == nil { return }
    while true {
      let (records, bytes) = try await store.write { try Self.expireSome($0, topic, id: id) }
      if records == 0 { return }
      report.expiredRecords += records
      report.removedBytes += bytes
    }
  }

  /// Removes some batches from the old end: those wholly past their time, and while there are too many bytes; of these the
  /// newest batch always stays.
  private static func expireSome(
    _ db: Database, _ topic: TopicConfiguration, id: Int64
  ) throws -> (records: Int, bytes: Int64) {
    guard let row = try db.row("SELECT bytes, next FROM partition WHERE id = ?", [id]) else {
      throw Failure.damagedRow("partition")
    }
    var total = try row.integer(0, of: "partition")
    let end = try row.integer(1, of: "partition")
    let threshold = topic.retentionMilliseconds.map { SystemTime.wallMilliseconds() - $0 } ?? .min
    let limit = topic.retentionBytes ?? .max
    var removed: (records: Int, bytes: Int64) = (0, 0)
    var low: Int64?
    let rows = try db.rows(
      "SELECT id, next, count, max_time, bytes FROM batch WHERE partition = ? ORDER BY base LIMIT 64", [id])
    for row in rows {
      let next = try row.integer(1, of: "batch")
      let bytes = try row.integer(4, of: "batch")
      let isOld = try row.integer(3, of: "batch") < threshold
      guard isOld || (total > limit && next < end) else { break }
      try db.run("DELETE FROM batch WHERE id = ?", [try row.integer(0, of: "batch")])
      removed.records += Int(clamping: try row.integer(2, of: "batch"))
      removed.bytes += bytes
      total -= bytes
      low = next
    }
    if let low {
      try db.run(
        "UPDATE partition SET low = max(low, ?1), clean = max(clean, ?1), bytes = ?2 WHERE id = ?3", [low, total, id])
    }
    return removed
  }

  // MARK: Compaction

  private func compact(
    _ topic: TopicConfiguration, _ place: TopicPartition, id: Int64, _ report: inout MaintenanceReport
  ) async throws {
    let now = SystemTime.wallMilliseconds()
    let grace = now - topic.deleteRetentionMilliseconds
    while true {
      let isLazy = isLazy
      let work = try await store.read { db in
        try Extent.find(
          db, id: id,
          youngest: topic.minimumCompactionLagMilliseconds == 0
            ? nil : now - topic.minimumCompactionLagMilliseconds, grace: grace, isLazy: isLazy)
      }
      guard let work else { return }
      let newest = try await keys(place, id: id, from: work.clean, to: work.end)
      let compaction = Compaction(place: place, id: id, newest: newest.offsets, end: newest.end, grace: grace)
      var cursor = work.low
      while cursor < newest.end {
        try Task.checkCancellation()
        let from = cursor
        var (plan, next) = try await store.read { try compaction.look($0, from: from) }
        if plan {
          let done = try await store.write { try compaction.rewrite($0, from: from) }
          next = done.next
          report.compactedRecords += done.records
          report.removedBytes += done.bytes
        }
        guard let next else { break }
        cursor = next
      }
      try await store.write { db in
        try db.run("UPDATE partition SET clean = max(clean, ?) WHERE id = ?", [newest.end, id])
      }
      if newest.end >= work.end { return }
    }
  }

  /// The newest offset of each key in a range, and how far it goes: less than asked for when there are too many keys.
  private func keys(
    _ place: TopicPartition, id: Int64, from: Int64, to end: Int64
  ) async throws -> (offsets: [[UInt8]: Int64], end: Int64) {
    var offsets: [[UInt8]: Int64] = [:]
    var bytes = 0
    var cursor = from
    while cursor < end {
      try Task.checkCancellation()
      let at = cursor
      let batches = try await store.read {
        try PartitionRows.batches($0, place, id: id, from: at, maximumBytes: Self.chunkBytes)
      }
      if batches.isEmpty { return (offsets, end) }
      for batch in batches where batch.base < end {
        if offsets.count >= Self.maximumKeys || bytes >= Self.maximumKeyBytes { return (offsets, batch.base) }
        for record in try StoredBatch.records(of: batch, from: from) {
          guard let key = record.key else { continue }
          if offsets.updateValue(record.offset, forKey: key) == nil { bytes += key.count }
        }
        cursor = batch.next
      }
      if let last = batches.last, last.base >= end { return (offsets, end) }
    }
    return (offsets, end)
  }
}

/// What part of a partition a pass of compaction is about.
private struct Extent: Sendable {
  var low: Int64
  /// The first offset that no pass has seen.
  var clean: Int64
  /// Up to where keys are compared, a batch's boundary.
  var end: Int64

  /// Nil where there is nothing to do.
  static func find(_ db: Database, id: Int64, youngest: Int64?, grace: Int64, isLazy: Bool) throws -> Extent? {
    guard let row = try db.row("SELECT low, next, clean, bytes FROM partition WHERE id = ?", [id]) else {
      throw Failure.damagedRow("partition")
    }
    let low = try row.integer(0, of: "partition")
    let clean = try row.integer(2, of: "partition")
    let total = try row.integer(3, of: "partition")
    var end = try row.integer(1, of: "partition")
    if let youngest {
      let row = try db.row(
        "SELECT base FROM batch WHERE partition = ? AND base >= ? AND max_time > ? ORDER BY base LIMIT 1",
        [id, clean, youngest])
      if let row { end = try row.integer(0, of: "batch") }
    }
    let dirty =
      try db.row("SELECT sum(bytes) FROM batch WHERE partition = ? AND next > ? AND base < ?", [id, clean, end])?
      .optionalInteger(0, of: "batch") ?? 0
    if dirty > 0, !isLazy || dirty >= total / 2 { return Extent(low: low, clean: min(clean, end), end: end) }
    let due = try db.row(
      "SELECT 1 FROM batch WHERE partition = ? AND tombstones > 0 AND appended <= ? AND next <= ? LIMIT 1",
      [id, grace, clean])
    return due == nil ? nil : Extent(low: low, clean: clean, end: clean)
  }
}
