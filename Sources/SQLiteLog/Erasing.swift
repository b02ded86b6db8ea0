import GRDB
import MessageLog

/// Removes single records of one partition. Their offsets stay holes and are never used again.
struct Erasing: Sendable {
  let place: TopicPartition
  let id: Int64

  /// Erases batch by batch, each in a transaction of its own: being killed in between leaves the rest to be erased again.
  ///
  /// - Returns: how many records were there.
  func run(_ wanted: Set<Int64>, store: Store) async throws -> Int {
    var count = 0
    var left = wanted.sorted()[...]
    while let offset = left.first {
      try Task.checkCancellation()
      let done = try await store.write { try erase($0, wanted, from: offset) }
      count += done.records
      left = left.drop { $0 < done.next }
    }
    return count
  }

  /// Rewrites the batch that holds an offset, or that comes next.
  private func erase(_ db: Database, _ wanted: Set<Int64>, from offset: Int64) throws -> (records: Int, next: Int64) {
    guard let batch = try PartitionRows.batches(db, place, id: id, from: offset, maximumBytes: 1).first else {
      return (0, .max)
    }
    let records = try StoredBatch.records(of: batch)
    let kept = records.filter { !wanted.contains($0.offset) }
    guard kept.count < records.count else { return (0, batch.next) }
    guard
      let row = try db.row("SELECT id, appended, bytes FROM batch WHERE partition = ? AND base = ?", [id, batch.base])
    else { throw Failure.damagedRow("batch") }
    try db.run("DELETE FROM batch WHERE id = ?", [try row.integer(0, of: "batch")])
    var removed = try row.integer(2, of: "batch")
    if !kept.isEmpty {
      let encoded = BatchCodec.encode(
        kept.map {
          PendingRecord(
            offsetDelta: $0.offset - batch.base, timestamp: $0.timestamp, key: $0.key, value: $0.value,
            headers: $0.headers)
        })
      try Appender.insert(
        db, encoded, partition: id, base: batch.base, next: batch.next, appended: try row.integer(1, of: "batch"))
      removed -= Int64(encoded.data.count)
    }
    try db.run("UPDATE partition SET bytes = bytes - ? WHERE id = ?", [removed, id])
    return (records.count - kept.count, batch.next)
  }
}
