import MessageLog
import RetortClient
import Topics

/// What the ledger says, read once and then brought up to date: that of months takes minutes to read.
///
/// It holds what was read as committed and nothing else, so that it may outlive who writes.
struct LedgerView {
  /// Up to where the requests of each partition have outcomes.
  private(set) var accounted: [TopicPartition: GroupProgress.Accounted] = [:]
  /// What the teacher was asked.
  private(set) var spending = Spending()
  /// The definitions of functions, by their digest.
  private(set) var functions: [Digest: FunctionSet] = [:]
  /// What deletion requests have erased.
  private(set) var erasures = Erasures()
  /// Up to where the ledger has been read.
  private var learned: [TopicPartition: Int64] = [:]

  /// Nothing yet.
  init() {}

  init(log: any MessageLog, names: TopicNames) async throws { try await update(log: log, names: names) }

  /// Learns what the ledger holds beyond what was learned before; nothing where it throws.
  mutating func update(log: any MessageLog, names: TopicNames) async throws {
    var next = self
    var erased: [Erasures.Account] = []
    next.learned = try await TopicScan.news(
      log: log, topic: names.ledger, after: learned, anew: { next = LedgerView() },
      { record in
        if let account = Erasures.Account(record) { erased.append(account) }
        guard let entry = try? RecordCoding.value(of: record, as: LedgerRecord.self) else { return }
        next.learn(entry, at: record.timestamp, names)
      })
    try await next.erasures.add(erased, log: log, names: names)
    self = next
  }

  private mutating func learn(_ entry: LedgerRecord, at time: Int64, _ names: TopicNames) {
    for range in entry.ranges {
      let partition = TopicPartition(topic: names.requests, partition: range.partition)
      let before = accounted[partition] ?? GroupProgress.Accounted(end: 0, time: time)
      accounted[partition] = GroupProgress.Accounted(end: max(before.end, range.to), time: max(before.time, time))
    }
    spending.learn(entry)
    if let set = try? entry.functions.map({ try FunctionSet(json: $0) }) { functions[set.digest] = set }
  }
}
