package import MessageLog
package import RetortClient

extension TopicScan {
  /// Calls `body` with every record of a topic that has come since it was read, partition by partition, in order.
  ///
  /// - Parameters:
  ///   - learned: up to where it has been read; empty: nothing of it.
  ///   - anew: called first where it ends before that: it was deleted and made anew, and is read from its beginning.
  /// - Returns: up to where it has been read now.
  /// - Throws: what the log or `body` throws; then `body` has perhaps seen some of the records.
  package static func news(
    log: any MessageLog, topic: String, after learned: [TopicPartition: Int64], anew: () -> Void,
    _ body: (Record) throws -> Void
  ) async throws -> [TopicPartition: Int64] {
    let ends = try await log.ends(of: topic)
    if ends.isEmpty { return learned }
    var learned = learned
    if learned.contains(where: { ends[$0.key] ?? 0 < $0.value }) {
      learned = [:]
      anew()
    }
    for (partition, end) in ends.sorted(by: { $0.key < $1.key }) where learned[partition] ?? 0 < end {
      let start = learned[partition].map { StartPosition.offset($0) } ?? .earliest
      try await each(log: log, partition: partition, from: start, to: end, body)
    }
    return ends
  }
}

extension MessageLog {
  /// The ends of a topic's partitions: nothing has come while they stay the same.
  func ends(of topic: String) async throws -> [TopicPartition: Int64] {
    var ends: [TopicPartition: Int64] = [:]
    for partition in try await topics().first(where: { $0.name == topic })?.topicPartitions ?? [] {
      ends[partition] = try await watermarks(of: partition).high
    }
    return ends
  }
}
