import MessageLog
import RetortClient
import Topics

/// How far a group of consumers has come.
enum GroupProgress {
  /// Whether a group has committed a topic to its end.
  static func isAtEnd(group: String, of name: String, log: any MessageLog) async throws -> Bool {
    let committed = try await log.committedOffsets(group: group)
    guard let topic = try await log.topics().first(where: { $0.name == name }) else { return true }
    for partition in topic.topicPartitions {
      let marks = try await log.watermarks(of: partition)
      if max(committed[partition] ?? 0, marks.low) < marks.high { return false }
    }
    return true
  }

  /// What is wrong with a group's positions in a topic: one sentence for each partition.
  static func problems(group: String, of name: String, log: any MessageLog) async throws -> [String] {
    let committed = try await log.committedOffsets(group: group)
    var problems: [String] = []
    for (partition, position) in committed.sorted(by: { $0.key < $1.key }) where partition.topic == name {
      guard let marks = try? await log.watermarks(of: partition), position > marks.high else { continue }
      problems.append(
        "\(partition) ends at offset \(marks.high), before the position \(position) of the group \(group): it was made anew; "
          + "start over under another prefix")
    }
    return problems
  }

  /// The partitions of `requests` that end before what the ledger accounts for: the topic was deleted and made anew.
  static func madeAnew(log: any MessageLog, names: TopicNames) async throws -> [(
    TopicPartition, accounted: Int64, end: Int64
  )] {
    var accounted: [Int: Int64] = [:]
    try await TopicScan.each(log: log, topic: names.ledger) { record in
      guard record.value != nil, let entry = try? RecordCoding.value(of: record, as: LedgerRecord.self) else { return }
      for range in entry.ranges { accounted[range.partition] = max(accounted[range.partition] ?? 0, range.to) }
    }
    var found: [(TopicPartition, accounted: Int64, end: Int64)] = []
    for partition in try await log.topics().first(where: { $0.name == names.requests })?.topicPartitions ?? [] {
      let end = try await log.watermarks(of: partition).high
      if let reached = accounted[partition.partition], reached > end { found.append((partition, reached, end)) }
    }
    return found
  }

  /// Waits until a group has committed these offsets.
  static func wait(for offsets: [TopicPartition: Int64], of group: String, log: any MessageLog) async throws {
    while true {
      let committed = try await log.committedOffsets(group: group)
      if offsets.allSatisfy({ committed[$0.key] ?? 0 >= $0.value }) { return }
      try await Task.sleep(for: .milliseconds(250))
    }
  }
}
