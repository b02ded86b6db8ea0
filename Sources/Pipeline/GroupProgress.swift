import MessageLog

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

  /// Waits until a group has committed these offsets.
  static func wait(for offsets: [TopicPartition: Int64], of group: String, log: any MessageLog) async throws {
    while true {
      let committed = try await log.committedOffsets(group: group)
      if offsets.allSatisfy({ committed[$0.key] ?? 0 >= $0.value }) { return }
      try await Task.sleep(for: .milliseconds(250))
    }
  }
}
