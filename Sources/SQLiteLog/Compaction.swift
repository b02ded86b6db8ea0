import GRDB
import MessageLog

/// One pass of compaction over one partition: keeps the last record of each key, and tombstones for their grace.
///
/// Batches are rewritten in ascending order, so that a tombstone goes only after everything it erases. Erased bytes are
/// overwritten with zeros in the file's pages.
struct Compaction: Sendable {
  /// Many batches smaller than this on average are joined.
  private static let smallBytes = 64 << 10
  private static let manyBatches = 16

  let place: TopicPartition
  let id: Int64
  /// The newest offset of each key below `end`.
  let newest: [[UInt8]: Int64]
  let end: Int64
  /// Tombstones appended at this time or before may go.
  let grace: Int64

  private struct Old {
    var row: Int64
    var appended: Int64
    var bytes: Int64
    var batch: StoredBatch
  }

  private struct New {
    var base: Int64
    var next: Int64
    var appended: Int64
    var bytes: Int
    var hasTombstone: Bool
    var records: [StoredRecord]
  }

  /// Whether the chunk from an offset on needs rewriting, and where the next one begins; nil at the end.
  func look(_ db: Database, from: Int64) throws -> (needed: Bool, next: Int64?) {
    let chunk = try chunk(db, from: from)
    guard let last = chunk.last else { return (false, nil) }
    if Self.isFragmented(chunk.map(\.bytes)) { return (true, last.batch.next) }
    for old in chunk {
      if try StoredBatch.records(of: old.batch).contains(where: { isObsolete($0, appended: old.appended) }) {
        return (true, last.batch.next)
      }
    }
    return (false, last.batch.next)
  }

  /// Rewrites the chunk from an offset on; call it within a transaction.
  ///
  /// - Returns: what was removed, and where the next chunk begins: not always where `look` saw it, as another process may have
  ///   joined batches meanwhile.
  func rewrite(_ db: Database, from: Int64) throws -> (records: Int, bytes: Int64, next: Int64?) {
    let chunk = try chunk(db, from: from)
    let joins = Self.isFragmented(chunk.map(\.bytes))
    var removed: (records: Int, bytes: Int64, next: Int64?) = (0, 0, chunk.last?.batch.next)
    var output: [New] = []
    for old in chunk {
      let records = try StoredBatch.records(of: old.batch)
      let kept = records.filter { !isObsolete($0, appended: old.appended) }
      if kept.count == records.count, !joins { continue }
      removed.records += records.count - kept.count
      removed.bytes += old.bytes
      try db.run("DELETE FROM batch WHERE id = ?", [old.row])
      if !kept.isEmpty { add(old, kept, to: &output, joins: joins) }
    }
    for new in output {
      let encoded = BatchCodec.encode(
        new.records.map {
          PendingRecord(
            offsetDelta: $0.offset - new.base, timestamp: $0.timestamp, key: $0.key, value: $0.value,
            headers: $0.headers)
        })
      try Appender.insert(db, encoded, partition: id, base: new.base, next: new.next, appended: new.appended)
      removed.bytes -= Int64(encoded.data.count)
    }
    try db.run("UPDATE partition SET bytes = bytes - ? WHERE id = ?", [removed.bytes, id])
    return removed
  }

  /// Many small batches, as single appends make them, are worth joining.
  private static func isFragmented(_ sizes: [Int64]) -> Bool {
    sizes.count >= manyBatches && sizes.reduce(0, +) / Int64(sizes.count) < smallBytes
  }

  /// A tombstone's grace counts from its own append: such batches are not joined with younger ones.
  private func add(_ old: Old, _ kept: [StoredRecord], to output: inout [New], joins: Bool) {
    let bytes = kept.reduce(0) { $0 + ($1.key?.count ?? 0) + ($1.value?.count ?? 0) + 64 }
    let hasTombstone = kept.contains(where: \.isTombstone)
    if joins, let last = output.indices.last, !hasTombstone, !output[last].hasTombstone,
      output[last].bytes + bytes <= BatchCodec.targetBytes,
      output[last].records.count + kept.count <= BatchCodec.targetCount
    {
      output[last].next = old.batch.next
      output[last].appended = max(output[last].appended, old.appended)
      output[last].bytes += bytes
      output[last].records += kept
    } else {
      output.append(
        New(
          base: old.batch.base, next: old.batch.next, appended: old.appended, bytes: bytes,
          hasTombstone: hasTombstone, records: kept))
    }
  }

  private func isObsolete(_ record: StoredRecord, appended: Int64) -> Bool {
    guard record.offset < end, let key = record.key else { return false }
    if let latest = newest[key], latest > record.offset { return true }
    return record.isTombstone && appended <= grace
  }

  private func chunk(_ db: Database, from: Int64) throws -> [Old] {
    let batches = try PartitionRows.batches(
      db, place, id: id, from: from, maximumBytes: Maintenance.chunkBytes, maximumRecords: BatchCodec.targetCount
    ).filter { $0.base < end }
    return try batches.map { batch in
      guard
        let row = try db.row(
          "SELECT id, appended, bytes FROM batch WHERE partition = ? AND base = ?", [id, batch.base])
      else { throw Failure.damagedRow("batch") }
      return Old(
        row: try row.integer(0, of: "batch"), appended: try row.integer(1, of: "batch"),
        bytes: try row.integer(2, of: "batch"), batch: batch)
    }
  }
}
