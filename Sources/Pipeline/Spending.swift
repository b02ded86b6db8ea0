import MessageLog
import RetortClient
import Topics

/// About how many requests of each day the teacher was asked, by the ledger.
///
/// Several members of the label group see each other's spending when it is committed; until then each keeps to its share of what was
/// left when it looked.
struct Spending {
  private var days: [String: Int] = [:]
  private var learned: [TopicPartition: Int64] = [:]

  /// How many on a day.
  subscript(day: String) -> Int { days[day, default: 0] }

  /// On all days together.
  var total: Int { days.values.reduce(0, +) }

  /// Learns what the ledger holds beyond what was learned before.
  mutating func update(log: any MessageLog, names: TopicNames) async throws {
    guard let topic = try await log.topics().first(where: { $0.name == names.ledger }) else { return }
    for partition in topic.topicPartitions {
      let end = try await log.watermarks(of: partition).high
      let start = learned[partition].map { StartPosition.offset($0) } ?? .earliest
      if case .offset(let offset) = start, offset >= end { continue }
      try await TopicScan.each(log: log, partition: partition, from: start, to: end) { record in
        guard let entry = try? RecordCoding.value(of: record, as: LedgerRecord.self) else { return }
        for item in entry.asked { days[item.day, default: 0] += item.count }
      }
      learned[partition] = end
    }
  }
}
