import MessageLog
import RetortClient
import Topics

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

  init(log: any MessageLog, names: TopicNames) async throws {
    try await TopicScan.each(log: log, topic: names.ledger) { record in
      guard record.value != nil, let entry = try? RecordCoding.value(of: record, as: LedgerRecord.self),
        let erasure = entry.erasure
      else { return }
      let time = entry.time.flatMap { RFC3339.milliseconds(of: $0) } ?? record.timestamp
      accounts[erasure.idDigest] = Account(erasure: erasure, time: time)
    }
  }

  /// The places of erased requests.
  var requests: Set<RequestPlace> {
    Set(
      accounts.values.flatMap(\.erasure.requests).flatMap { range in
        range.offsets.map { RequestPlace(partition: range.partition, offset: $0) }
      })
  }

  /// The offsets that erased samples had, of any split.
  var samples: Set<Int64> {
    Set(accounts.values.flatMap { $0.erasure.samples + $0.erasure.heldOut }.flatMap(\.offsets))
  }
}

extension OffsetRange {
  /// The offsets.
  var offsets: Range<Int64> { from..<to }

  /// Offsets of one partition as ranges, and offsets of ranges before.
  static func union(_ offsets: some Sequence<Int64>, _ before: [OffsetRange], partition: Int = 0) -> [OffsetRange] {
    var ranges: [OffsetRange] = []
    for offset in Set(offsets).union(before.filter { $0.partition == partition }.flatMap(\.offsets)).sorted() {
      if let last = ranges.last, last.to == offset {
        ranges[ranges.count - 1].to = offset + 1
      } else {
        ranges.append(OffsetRange(partition: partition, from: offset, to: offset + 1))
      }
    }
    return ranges
  }
}
