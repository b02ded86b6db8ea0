import MessageLog
import RetortClient
import Topics

/// About how many requests of each day the teacher was asked, by the ledger: by the partitions of `requests` that pay.
struct Spending {
  private var days: [String: [Int: Int]] = [:]
  private var learned: [TopicPartition: Int64] = [:]

  /// How many of a day a partition has paid for.
  func count(of day: String, in partition: Int) -> Int { days[day]?[partition] ?? 0 }

  /// Learns what the ledger holds beyond what was learned before.
  mutating func update(log: any MessageLog, names: TopicNames) async throws {
    guard let topic = try await log.topics().first(where: { $0.name == names.ledger }) else { return }
    for partition in topic.topicPartitions {
      let end = try await log.watermarks(of: partition).high
      let start = learned[partition].map { StartPosition.offset($0) } ?? .earliest
      if case .offset(let offset) = start, offset >= end { continue }
      try await TopicScan.each(log: log, partition: partition, from: start, to: end) { record in
        guard let entry = try? RecordCoding.value(of: record, as: LedgerRecord.self) else { return }
        for item in entry.asked {
          // Accounts of earlier versions do not say where; those that one member had then count for the first.
          let place = item.partition ?? entry.ranges.first?.partition ?? 0
          days[item.day, default: [:]][place, default: 0] += item.count
        }
      }
      learned[partition] = end
    }
  }
}
