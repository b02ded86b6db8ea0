import Foundation
import GRDB
import MessageLog
import Synchronization

/// Records of one partition on their way into the file, with their places in the caller's list.
struct PreparedBatch: Sendable {
  var topicPartition: TopicPartition
  var partitionID: Int64
  var batch: EncodedBatch
  var timestamps: [Int64]
  var indices: [Int]
}

/// Checks and encodes records outside the write lock, and stores them inside.
struct Appender: Sendable {
  let store: Store
  /// Which partition records without a key go to next, by topic: one for each append, so that batches stay whole.
  private let turns = SharedTurns()

  init(store: Store) { self.store = store }

  /// Checks, routes and encodes; order within a partition is the caller's.
  func prepare(_ records: [NewRecord]) async throws -> [PreparedBatch] {
    var topics: [String: TopicEntry] = [:]
    for record in records {
      if let known = topics[record.topic], known.partitionIDs.indices.contains(record.partition ?? 0) { continue }
      topics[record.topic] = try await store.topic(record.topic, partition: record.partition)
    }
    let now = SystemTime.wallMilliseconds()
    var groups: [TopicPartition: PartitionInput] = [:]
    var order: [TopicPartition] = []
    var sticky: [String: Int] = [:]
    for (index, record) in records.enumerated() {
      guard let entry = topics[record.topic] else { throw MessageLogError.unknown(record.topic) }
      try LogChecks.record(record, in: entry.configuration)
      let number = route(record, entry.configuration, &sticky)
      let place = TopicPartition(topic: record.topic, partition: number)
      let stamp = entry.configuration.timestampType == .logAppend ? now : (record.timestamp ?? now)
      if groups[place] == nil {
        order.append(place)
        groups[place] = PartitionInput(id: entry.partitionIDs[number])
      }
      groups[place]?.add(record, index: index, timestamp: stamp)
    }
    return order.flatMap { place in groups[place]?.batches(place) ?? [] }
  }

  /// Stores what was prepared; call it within a transaction.
  static func store(_ db: Database, _ prepared: [PreparedBatch], count: Int) throws -> [RecordPosition] {
    let none = RecordPosition(topicPartition: TopicPartition(topic: "", partition: 0), offset: -1, timestamp: 0)
    var positions = [RecordPosition](repeating: none, count: count)
    let now = SystemTime.wallMilliseconds()
    for item in prepared {
      let records = Int64(item.batch.count)
      let row = try db.row(
        "UPDATE partition SET next = next + ?1, bytes = bytes + ?2 WHERE id = ?3 RETURNING next",
        [records, item.batch.data.count, item.partitionID])
      guard let row else { throw Failure.damagedRow("partition") }
      let next = try row.integer(0, of: "partition")
      let base = next - records
      try insert(db, item.batch, partition: item.partitionID, base: base, next: next, appended: now)
      for (step, index) in item.indices.enumerated() {
        positions[index] = RecordPosition(
          topicPartition: item.topicPartition, offset: base + Int64(step), timestamp: item.timestamps[step])
      }
    }
    return positions
  }

  /// Inserts one batch row.
  static func insert(
    _ db: Database, _ batch: EncodedBatch, partition: Int64, base: Int64, next: Int64, appended: Int64
  ) throws {
    let checksum = BatchCodec.rowChecksum(
      dataHash: batch.dataHash, partition: partition, base: base, next: next, count: Int64(batch.count),
      maximumTime: batch.maximumTime)
    let statement = try db.cachedStatement(
      sql: """
        INSERT INTO batch (partition, base, next, count, max_time, appended, tombstones, checksum, bytes, data)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """)
    try batch.data.withUnsafeBytes { bytes in
      // The statement binds these bytes without a copy, and is done with them when it returns.
      let data =
        bytes.baseAddress.map {
          Data(bytesNoCopy: UnsafeMutableRawPointer(mutating: $0), count: bytes.count, deallocator: .none)
        } ?? Data()
      try statement.execute(arguments: [
        partition, base, next, batch.count, batch.maximumTime, appended, batch.tombstones, checksum, bytes.count, data,
      ])
    }
  }

  private func route(_ record: NewRecord, _ topic: TopicConfiguration, _ sticky: inout [String: Int]) -> Int {
    if let partition = record.partition { return partition }
    if let key = record.key { return Partitioner.partition(of: key, partitions: topic.partitions) }
    if let chosen = sticky[topic.name] { return chosen }
    let chosen = turns.next(topic.name) % topic.partitions
    sticky[topic.name] = chosen
    return chosen
  }
}

/// Counts appends of keyless records by topic.
private final class SharedTurns: Sendable {
  private let turns = Mutex<[String: Int]>([:])

  func next(_ topic: String) -> Int {
    turns.withLock { turns in
      defer { turns[topic, default: 0] &+= 1 }
      return turns[topic, default: 0] & Int.max
    }
  }
}

/// One partition's share of an append.
private struct PartitionInput {
  let id: Int64
  private var chunks: [Chunk] = []

  private struct Chunk {
    var records: [PendingRecord] = []
    var indices: [Int] = []
    var bytes = 0
  }

  init(id: Int64) { self.id = id }

  mutating func add(_ record: NewRecord, index: Int, timestamp: Int64) {
    if chunks.last.map({ $0.bytes >= BatchCodec.targetBytes || $0.records.count >= BatchCodec.targetCount }) ?? true {
      chunks.append(Chunk())
    }
    let at = chunks.count - 1
    let pending = PendingRecord(
      offsetDelta: Int64(chunks[at].records.count), timestamp: timestamp, key: record.key, value: record.value,
      headers: record.headers)
    chunks[at].records.append(pending)
    chunks[at].indices.append(index)
    chunks[at].bytes += pending.bound
  }

  func batches(_ place: TopicPartition) -> [PreparedBatch] {
    chunks.map { chunk in
      PreparedBatch(
        topicPartition: place, partitionID: id, batch: BatchCodec.encode(chunk.records),
        timestamps: chunk.records.map(\.timestamp), indices: chunk.indices)
    }
  }
}
