import Foundation
import MessageLog
import Releases
import RetortClient
import Topics

/// Writes released files into the log, in chunks.
///
/// They are not part of the transaction that names them: half a gigabyte may take longer than a transaction is let. A process
/// that is killed in between leaves chunks that nothing names; its successor, which makes the same files, takes them as they are,
/// and others go with `retort models gc`.
struct ArtifactWriter {
  private let log: any MessageLog
  private let partition: TopicPartition
  /// How many chunks are sent at once: few enough for the slowest link to deliver in time, and for memory.
  private static let part = 8

  init(log: any MessageLog, names: TopicNames) {
    self.log = log
    partition = TopicPartition(topic: names.artifacts, partition: 0)
  }

  /// Appends what the log lacks of some files.
  ///
  /// - Parameter start: From which offset on it is looked for.
  /// - Returns: For each file, from which offset on its chunks are found.
  func write(_ files: [(digest: Digest, bytes: [UInt8])], lookingFrom start: Int64) async throws -> [Int64] {
    let chunks = files.map { ChunkPlan.chunks(of: $0.bytes, digest: $0.digest) }
    let found = try await places(of: Array(chunks.joined()), from: start)
    let end = try await log.watermarks(of: partition).high
    let missing = chunks.joined().filter { found[$0.key] == nil }
    for first in stride(from: 0, to: missing.count, by: Self.part) {
      try Task.checkCancellation()
      _ = try await log.append(
        missing[first..<min(first + Self.part, missing.count)].map {
          NewRecord(
            topic: partition.topic, partition: partition.partition, key: Array($0.key.utf8), value: $0.bytes,
            headers: RecordCoding.headers(of: ArtifactChunk.topic))
        })
    }
    return chunks.map { $0.compactMap { found[$0.key] }.min() ?? end }
  }

  /// Where the log has these chunks, by key; one that is followed by a tombstone, or by other bytes, it does not have. Nor one that is
  /// soon old enough to be garbage, as nothing names it yet.
  private func places(of chunks: [ArtifactChunk], from start: Int64) async throws -> [String: Int64] {
    let wanted = Dictionary(chunks.map { (Array($0.key.utf8), $0) }) { first, _ in first }
    // After a move to another log the offset may lie behind the end.
    let isThere = try await log.watermarks(of: partition).high >= start
    let oldest = Int64(Date().timeIntervalSince1970 * 1_000) - GarbageCollection.patience / 2
    var places: [String: Int64] = [:]
    try await TopicScan.each(log: log, partition: partition, from: isThere ? .offset(start) : .earliest, to: nil) {
      record in
      guard let key = record.key, let chunk = wanted[key] else { return }
      if record.value != chunk.bytes || record.timestamp < oldest {
        places[chunk.key] = nil
      } else if places[chunk.key] == nil {
        places[chunk.key] = record.offset
      }
    }
    return places
  }
}
