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

/// The requests that the teacher is being asked about and whose outcome is not written yet.
///
/// What is written is counted from the ledger.
struct AskedRequests {
  private struct Asked {
    let day: String
    let payer: Int
    let messages: [ChatMessage]
  }

  private var requests: [TopicPartition: [Int64: Asked]] = [:]
  /// Under which number each partition was owned when the teacher was asked.
  private var ownership: [TopicPartition: Int64] = [:]

  /// How many there are, by day and by the partition that pays.
  var byDay: [String: [Int: Int]] {
    var counts: [String: [Int: Int]] = [:]
    for asked in requests.values {
      for request in asked.values { counts[request.day, default: [:]][request.payer, default: 0] += 1 }
    }
    return counts
  }

  /// - Parameter payer: the partition from whose part of the day's budget it is taken; its own where there is none.
  mutating func add(_ open: OpenRequest, payer: Int?, owned number: Int64?) {
    let partition = open.record.topicPartition
    ownership[partition] = number
    requests[partition, default: [:]][open.record.offset] = Asked(
      day: open.day, payer: payer ?? partition.partition, messages: open.request.messages)
  }

  /// About how many of these the teacher was asked, by the partition that pays and day.
  func count(of records: [Record]) -> [AskedCount] {
    var counts: [Int: [String: Int]] = [:]
    for record in records {
      guard let asked = requests[record.topicPartition]?[record.offset] else { continue }
      counts[asked.payer, default: [:]][asked.day, default: 0] += 1
    }
    return counts.sorted { $0.key < $1.key }.flatMap { partition, days in
      days.sorted { $0.key < $1.key }.map { AskedCount(day: $0.key, count: $0.value, partition: partition) }
    }
  }

  /// Forgets a request that is written; what was asked, if the teacher was.
  mutating func remove(_ record: Record) -> [ChatMessage]? {
    requests[record.topicPartition]?.removeValue(forKey: record.offset)?.messages
  }

  /// Forgets partitions that belong to another member, or did since the teacher was asked; what was asked in them.
  mutating func keepOnly(_ owned: [TopicPartition: Int64]) -> [[ChatMessage]] {
    var lost: [[ChatMessage]] = []
    for (partition, number) in ownership where owned[partition] != number {
      lost += requests.removeValue(forKey: partition)?.values.map(\.messages) ?? []
      ownership[partition] = nil
    }
    return lost
  }
}
