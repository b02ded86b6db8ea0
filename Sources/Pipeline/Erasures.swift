import MessageLog
import RetortClient
import Topics
import Training

/// A request's place in the log.
struct RequestPlace: Hashable {
  let partition: Int
  let offset: Int64
}

/// Everything that deletion requests have erased, from the ledger.
struct Erasures {
  /// One erased request.
  struct Account {
    var erasure: Erasure
    /// When, in milliseconds since 1970.
    var time: Int64
  }

  /// By the digest of the request's id.
  private(set) var accounts: [Digest: Account] = [:]
  /// The offsets that erased samples had, of any split.
  private(set) var samples = RangeSet<Int64>()
  /// The offsets of erased requests, by partition.
  private var requests: [Int: RangeSet<Int64>] = [:]
  /// Up to where the ledger has been read.
  private var learned: [TopicPartition: Int64] = [:]

  /// Nothing yet.
  init() {}

  init(log: any MessageLog, names: TopicNames) async throws { try await update(log: log, names: names) }

  /// Learns what the ledger holds beyond what was learned before.
  mutating func update(log: any MessageLog, names: TopicNames) async throws {
    var news: [Account] = []
    let end = try await TopicScan.news(
      log: log, topic: names.ledger, after: learned, anew: { self = Erasures() },
      { record in
        if let account = Account(record) { news.append(account) }
      })
    try await add(news, log: log, names: names)
    learned = end
  }

  /// Takes in accounts that have been read; nothing where it throws.
  mutating func add(_ news: [Account], log: any MessageLog, names: TopicNames) async throws {
    if news.isEmpty { return }
    // What a stranger's account names beyond the end of a topic is not there.
    var ends: [TopicPartition: Int64] = [:]
    for topic in [names.requests, names.samples, names.deadLetters] {
      ends.merge(try await log.ends(of: topic)) { $1 }
    }
    for var account in news {
      account.erasure.requests = Self.clamped(account.erasure.requests, names.requests, ends)
      account.erasure.samples = Self.clamped(account.erasure.samples, names.samples, ends)
      account.erasure.heldOut = Self.clamped(account.erasure.heldOut, names.samples, ends)
      account.erasure.deadLetters = Self.clamped(account.erasure.deadLetters, names.deadLetters, ends)
      add(account)
    }
  }

  private mutating func add(_ account: Account) {
    let erasure = account.erasure
    accounts[erasure.idDigest] = account
    for range in erasure.requests {
      requests[range.partition, default: RangeSet()].insert(contentsOf: range.offsets)
    }
    for range in erasure.samples + erasure.heldOut { samples.insert(contentsOf: range.offsets) }
  }

  private static func clamped(
    _ ranges: [OffsetRange], _ topic: String, _ ends: [TopicPartition: Int64]
  ) -> [OffsetRange] {
    ranges.compactMap { range in
      var range = range
      range.from = max(0, range.from)
      range.to = min(range.to, ends[TopicPartition(topic: topic, partition: range.partition)] ?? 0)
      return range.from < range.to ? range : nil
    }
  }

  /// Whether a request has been erased.
  func contains(_ request: RequestPlace) -> Bool { requests[request.partition]?.contains(request.offset) ?? false }

  /// The offsets of a range that erased samples had.
  func samples(in offsets: Range<Int64>) -> RangeSet<Int64> { samples.intersection(RangeSet(offsets)) }
}

extension Erasures.Account {
  /// What a record of the ledger says of an erasure; `nil` of one of labels or functions, which nearly all are: their key says so,
  /// and they are not parsed.
  init?(_ record: Record) {
    guard record.key?.starts(with: "forget/".utf8) ?? false,
      let entry = try? RecordCoding.value(of: record, as: LedgerRecord.self), let erasure = entry.erasure
    else { return nil }
    self.init(erasure: erasure, time: entry.time.flatMap { RFC3339.milliseconds(of: $0) } ?? record.timestamp)
  }
}

extension Erasures {
  /// The offsets of a range that erased train samples had.
  func trained(in offsets: Range<Int64>) -> RangeSet<Int64> {
    RangeSet(accounts.values.flatMap(\.erasure.samples).map(\.offsets)).intersection(RangeSet(offsets))
  }
}

extension Erasures {
  /// The tombstones of erased samples of which `samples` has no record any more, to be written once more: who was away for longer
  /// than compaction leaves a tombstone has missed it. Of what has a record the tombstone is yet to come, or the id came again.
  ///
  /// - Parameter entries: what a trainer remembers.
  static func missed(
    _ entries: [SampleMemory.Entry], log: any MessageLog, names: TopicNames
  ) async throws -> [NewRecord] {
    if entries.isEmpty { return [] }
    let accounts = try await Erasures(log: log, names: names).accounts
    if accounts.isEmpty { return [] }
    let ids = entries.map { Array($0.id.utf8) }
    var gone: Set<[UInt8]> = []
    // What was erased of an id ends before its tombstone, and so before all that came again.
    var first = Int64.max
    for (entry, id) in zip(entries, ids) {
      guard let erasure = accounts[.sha256(id)]?.erasure,
        let end = (erasure.samples + erasure.heldOut).map(\.to).max(),
        // The n-th sample lies at offset n or behind it.
        entry.sequence < end
      else { continue }
      gone.insert(id)
      first = min(first, end)
    }
    let partition = TopicPartition(topic: names.samples, partition: 0)
    var start = StartPosition.offset(first)
    // The second time only for what came during the first: an id may come again at any moment.
    for _ in 0..<2 where !gone.isEmpty {
      let end = try await log.watermarks(of: partition).high
      try await TopicScan.each(log: log, partition: partition, from: start, to: end) { record in
        if let key = record.key { gone.remove(key) }
      }
      start = .offset(end)
    }
    let headers = RecordCoding.headers(of: SampleRecord.topic)
    return ids.filter(gone.contains).map {
      NewRecord(topic: names.samples, partition: 0, key: $0, value: nil, headers: headers)
    }
  }
}

extension RangeSet<Int64> {
  /// How many offsets there are.
  var offsetCount: Int { ranges.reduce(0) { $0 + $1.count } }
}

extension OffsetRange {
  /// The offsets.
  var offsets: Range<Int64> { from..<to }

  /// Offsets of one partition as ranges, and offsets of ranges before.
  static func union(_ offsets: some Sequence<Int64>, _ before: [OffsetRange], partition: Int = 0) -> [OffsetRange] {
    var union = RangeSet<Int64>()
    for offset in offsets { union.insert(contentsOf: offset..<offset + 1) }
    for range in before where range.partition == partition { union.insert(contentsOf: range.offsets) }
    return union.ranges.map { OffsetRange(partition: partition, from: $0.lowerBound, to: $0.upperBound) }
  }
}
