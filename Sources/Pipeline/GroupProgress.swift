import MessageLog
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

  /// How far labelling has come in a partition of `requests`, by the ledger.
  struct Accounted {
    /// One past the last request that has an outcome.
    var end: Int64
    /// When the newest of the partition's accounts was written, in milliseconds since 1970.
    var time: Int64
  }

  /// Up to where the requests of each partition have outcomes, by the ledger.
  static func accounted(log: any MessageLog, names: TopicNames) async throws -> [TopicPartition: Accounted] {
    try await LedgerView(log: log, names: names).accounted
  }

  /// Up to where the requests of each partition have been decided on: the label group's positions and, where it has none, what
  /// the ledger accounts for. A broker forgets the positions of a group that is away for long, and each was written with an account.
  static func decided(log: any MessageLog, names: TopicNames) async throws -> [TopicPartition: Int64] {
    let committed = try await log.committedOffsets(group: names.labelGroup)
    let partitions = try await log.topics().first { $0.name == names.requests }?.topicPartitions ?? []
    // The ledger is long.
    if partitions.allSatisfy({ committed[$0] != nil }) { return committed }
    return committed.merging(try await accounted(log: log, names: names).mapValues(\.end)) { committed, _ in committed }
  }

  /// The partitions of `requests` that do not hold what the ledger accounts for, with what is found there: the topic was deleted
  /// and made anew.
  static func madeAnew(
    _ accounted: [TopicPartition: Accounted], committed: [TopicPartition: Int64], log: any MessageLog, names: TopicNames
  ) async throws -> [(TopicPartition, accounted: Int64, found: String)] {
    var found: [(TopicPartition, accounted: Int64, found: String)] = []
    for partition in try await log.topics().first(where: { $0.name == names.requests })?.topicPartitions ?? [] {
      guard let account = accounted[partition] else { continue }
      let end = try await log.watermarks(of: partition).high
      if account.end > end {
        found.append((partition, account.end, "an end at \(end)"))
      } else if committed[partition] == nil, try await isYounger(partition, than: account, log: log) {
        found.append((partition, account.end, "requests that came after those outcomes"))
      }
    }
    return found
  }

  /// By how much the clocks of producers may be ahead, in milliseconds.
  private static let clockSkew: Int64 = 60_000

  /// Whether the oldest of the requests that have outcomes came after the newest of these was written.
  private static func isYounger(
    _ partition: TopicPartition, than account: Accounted, log: any MessageLog
  ) async throws -> Bool {
    guard let oldest = try await log.offset(of: partition, at: 0), oldest < account.end else { return false }
    return try await log.offset(of: partition, at: account.time + clockSkew) == oldest
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
