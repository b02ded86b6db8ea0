import MessageLog
import Topics

/// A request that nothing has decided yet.
struct OpenRequest: Sendable {
  let record: Record
  let request: RequestRecord
  /// Whether labelling it costs no call to the teacher.
  let isFree: Bool

  /// The request's day, by which budgets are kept: the log's time, so that the same log gives the same days.
  var day: String { AskedCount.day(ofMilliseconds: record.timestamp) }
}

/// The requests that the teacher is being asked about and whose outcome is not written yet, by day.
///
/// What is written is counted from the ledger.
struct AskedRequests {
  private var days: [TopicPartition: [Int64: String]] = [:]

  /// How many there are, by day.
  var byDay: [String: Int] {
    var counts: [String: Int] = [:]
    for offsets in days.values {
      for day in offsets.values { counts[day, default: 0] += 1 }
    }
    return counts
  }

  mutating func add(_ open: OpenRequest) {
    days[open.record.topicPartition, default: [:]][open.record.offset] = open.day
  }

  /// About how many of these the teacher was asked, by partition and day.
  func count(of records: [Record]) -> [AskedCount] {
    var counts: [Int: [String: Int]] = [:]
    for record in records {
      guard let day = days[record.topicPartition]?[record.offset] else { continue }
      counts[record.partition, default: [:]][day, default: 0] += 1
    }
    return counts.sorted { $0.key < $1.key }.flatMap { partition, days in
      days.sorted { $0.key < $1.key }.map { AskedCount(day: $0.key, count: $0.value, partition: partition) }
    }
  }

  mutating func remove(_ records: [Record]) {
    for record in records { days[record.topicPartition]?[record.offset] = nil }
  }

  /// Forgets the partitions of other members.
  mutating func keepOnly(_ owned: [TopicPartition: Int64]) {
    days = days.filter { owned[$0.key] != nil }
  }
}
