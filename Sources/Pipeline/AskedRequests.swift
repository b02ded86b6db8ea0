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

  /// About how many of these the teacher was asked, by day.
  func count(of records: [Record]) -> [String: Int] {
    var counts: [String: Int] = [:]
    for record in records {
      if let day = days[record.topicPartition]?[record.offset] { counts[day, default: 0] += 1 }
    }
    return counts
  }

  mutating func remove(_ records: [Record]) {
    for record in records { days[record.topicPartition]?[record.offset] = nil }
  }

  /// Forgets the partitions of other members.
  mutating func keepOnly(_ owned: [TopicPartition: Int64]) {
    days = days.filter { owned[$0.key] != nil }
  }
}
