import Foundation
import GRDB
import MessageLog

/// Reads partitions and their batches.
enum PartitionRows {
  /// The bounds of a partition.
  static func watermarks(_ db: Database, id: Int64) throws -> Watermarks {
    guard let row = try db.row("SELECT low, next FROM partition WHERE id = ?", [id]) else {
      throw Failure.damagedRow("partition")
    }
    let low = try row.integer(0, of: "partition")
    let high = try row.integer(1, of: "partition")
    guard low >= 0, low <= high else { throw Failure.damagedRow("partition") }
    return Watermarks(low: low, high: high)
  }

  /// The offset at which a position begins.
  ///
  /// - Throws: `.outOfRange`, save where what is lost is skipped.
  static func resolve(
    _ db: Database, _ place: TopicPartition, id: Int64, _ position: StartPosition,
    _ onLostRange: ReaderOptions.LostRange
  ) throws -> Int64 {
    let bounds = try watermarks(db, id: id)
    switch position {
    case .earliest: return bounds.low
    case .latest: return bounds.high
    case .offset(let offset):
      if offset < bounds.low, onLostRange == .skip { return bounds.low }
      guard offset >= bounds.low, offset <= bounds.high else {
        throw MessageLogError.outOfRange(place, offset: offset, watermarks: bounds)
      }
      return offset
    case .timestamp(let time):
      return try offset(db, place, id: id, at: time) ?? bounds.high
    }
  }

  /// The first offset whose record has this timestamp or a later one.
  static func offset(_ db: Database, _ place: TopicPartition, id: Int64, at time: Int64) throws -> Int64? {
    var from: Int64 = 0
    while true {
      // The index holds base, next and max_time: batches before the right one are not touched.
      let row = try db.row(
        """
        SELECT base FROM batch INDEXED BY batch_time WHERE partition = ? AND base >= ? AND max_time >= ?
        ORDER BY base LIMIT 1
        """, [id, from, time])
      guard let row else { return nil }
      let base = try row.integer(0, of: "batch")
      guard let batch = try batches(db, place, id: id, from: base, maximumBytes: 1).first else { return nil }
      if let found = try StoredBatch.records(of: batch).first(where: { $0.timestamp >= time }) { return found.offset }
      from = batch.next
    }
  }

  /// Batches that hold offsets from `from` on, in order: at least one where there is one, more while they fit.
  static func batches(
    _ db: Database, _ place: TopicPartition, id: Int64, from: Int64, maximumBytes: Int, maximumRecords: Int = .max
  ) throws -> [StoredBatch] {
    let statement = try db.cachedStatement(
      sql: """
        SELECT base, next, count, max_time, checksum, data FROM batch
        WHERE partition = ?1 AND next > ?2 AND base >= coalesce(
          (SELECT base FROM batch WHERE partition = ?1 AND base <= ?2 ORDER BY base DESC LIMIT 1), ?2)
        ORDER BY base
        """)
    let cursor = try Row.fetchCursor(statement, arguments: [id, from])
    var found: [StoredBatch] = []
    var bytes = 0
    var records = 0
    while bytes < maximumBytes, records < maximumRecords, let row = try cursor.next() {
      let data = try row.withUnsafeData(atIndex: 5) { data -> [UInt8]? in data.map { [UInt8]($0) } }
      guard let data else { throw Failure.damagedRow("batch") }
      let batch = StoredBatch(
        topicPartition: place, partitionID: id, base: try row.integer(0, of: "batch"),
        next: try row.integer(1, of: "batch"), count: try row.integer(2, of: "batch"),
        maximumTime: try row.integer(3, of: "batch"), checksum: try row.integer(4, of: "batch"), data: data)
      guard batch.base >= 0, batch.next > batch.base, batch.count > 0 else { throw Failure.damagedRow("batch") }
      found.append(batch)
      bytes += data.count
      records += Int(clamping: batch.count)
    }
    return found
  }
}

extension FetchPlan {
  /// Fetches, partition by partition, until the bounds are reached; at least one batch where there is one.
  func fetch(_ db: Database) throws -> [Found] {
    var found: [Found] = []
    var bytes = 0
    var records = 0
    for item in items where bytes < maximumBytes && records < maximumRecords {
      let bounds = try PartitionRows.watermarks(db, id: item.id)
      guard item.from >= bounds.low, item.from < bounds.high else {
        found.append(Found(item: item, watermarks: bounds, batches: []))
        continue
      }
      let batches = try PartitionRows.batches(
        db, item.place, id: item.id, from: item.from, maximumBytes: maximumBytes - bytes,
        maximumRecords: maximumRecords - records)
      bytes += batches.reduce(0) { $0 + $1.data.count }
      records += batches.reduce(0) { $0 + Int(clamping: $1.count) }
      found.append(Found(item: item, watermarks: bounds, batches: batches))
    }
    return found
  }
}
