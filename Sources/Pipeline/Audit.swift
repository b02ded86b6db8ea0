public import MessageLog
import RetortClient
public import Topics

/// The proof of conservation, read from the log: every request below labelling's position has exactly one outcome.
///
/// Three accounts must agree: the requests that are still in the log, the ranges and counts of the ledger, and the
/// samples and dead letters themselves, by the coordinates of the request they came from. A request that retention has
/// deleted is accounted for by the ledger alone; one that it deleted before it had an outcome, by nobody: such offsets are
/// counted, but not held against the log, where they may have been marks of producers' transactions. A sample that a newer
/// version has replaced is found by the request's id; one that a deletion request erased by the ledger's account of it.
public struct Audit: Sendable {
  /// Requests below labelling's position, by the ledger.
  public private(set) var requests = 0
  /// Requests that became samples.
  public private(set) var samples = 0
  /// Requests that were skipped, with the reason in the ledger.
  public private(set) var skipped = 0
  /// Requests that became dead letters.
  public private(set) var deadLetters = 0
  /// Outcomes that a request has beside its first.
  public private(set) var duplicates = 0
  /// Requests without an outcome, or whose outcome is not where the ledger says.
  public private(set) var missing = 0
  /// Requests above labelling's position, which wait.
  public private(set) var waiting = 0
  /// Offsets that retention removed and no account names: about as many requests were never labelled.
  public private(set) var removed = 0
  /// One sentence for each finding, at most 20.
  public private(set) var findings: [String] = []

  /// Whether conservation holds.
  public var holds: Bool { missing == 0 && duplicates == 0 && requests == samples + skipped + deadLetters }

  /// The audit as `retort audit --json` prints it.
  public var json: JSON {
    [
      "requests": .integer(Int64(requests)), "samples": .integer(Int64(samples)), "skipped": .integer(Int64(skipped)),
      "deadletters": .integer(Int64(deadLetters)), "duplicates": .integer(Int64(duplicates)),
      "missing": .integer(Int64(missing)), "waiting": .integer(Int64(waiting)),
      "removed": .integer(Int64(removed)), "holds": .bool(holds),
      "findings": .array(findings.map { .string($0) }),
    ]
  }

  /// Audits a deployment's log; labelling may go on meanwhile.
  ///
  /// - Parameter all: whether every request in the log must have its outcome, whatever labelling's position says.
  /// - Throws: an error of the log; what does not add up is a finding, not an error.
  public static func run(log: any MessageLog, names: TopicNames, all: Bool = false) async throws -> Audit {
    var audit = Audit()
    // Read first: labelling may go on, and what is decided by now has its account and outcome in what is read afterwards.
    let extents = try await extents(log, names)
    let ledger = try await audit.readLedger(log, names)
    var outcomes = try await audit.readOutcomes(log, names)
    for request in ledger.skipped { audit.place(request, in: &outcomes, what: "skipped") }
    try await audit.match(extents, ledger.ranges, outcomes: outcomes, all: all, log, names)
    audit.compareCounts(outcomes)
    return audit
  }

  /// How far a partition of `requests` goes.
  private struct Extent {
    let partition: TopicPartition
    /// Up to where requests have outcomes; nil where nothing says so.
    let position: Int64?
    let marks: Watermarks
  }

  private static func extents(_ log: any MessageLog, _ names: TopicNames) async throws -> [Extent] {
    let labelled = try await GroupProgress.decided(log: log, names: names)
    var extents: [Extent] = []
    for partition in try await log.topics().first(where: { $0.name == names.requests })?.topicPartitions ?? [] {
      extents.append(
        Extent(
          partition: partition, position: labelled[partition], marks: try await log.watermarks(of: partition)))
    }
    return extents
  }

  private struct Ledger {
    var ranges: [Int: [OffsetRange]] = [:]
    var skipped: [RequestPlace] = []
  }

  private mutating func readLedger(_ log: any MessageLog, _ names: TopicNames) async throws -> Ledger {
    var ledger = Ledger()
    try await TopicScan.each(log: log, topic: names.ledger) { record in
      guard record.value != nil else { return }
      // Whatever it was an account of will be missing; a stranger's record accounts for nothing.
      guard let entry = try? RecordCoding.value(of: record, as: LedgerRecord.self) else {
        note("\(RecordCoding.place(of: record)) cannot be read; `retort topics check` says why")
        return
      }
      requests += entry.requests
      samples += entry.count(of: .sampled)
      skipped += entry.count(of: .skipped)
      deadLetters += entry.count(of: .dead)
      for range in entry.ranges { ledger.ranges[range.partition, default: []].append(range) }
      for item in entry.skipped {
        ledger.skipped.append(RequestPlace(partition: item.partition, offset: item.offset))
      }
    }
    return ledger
  }

  /// The coordinates of every request that a sample or a dead letter came from.
  private mutating func readOutcomes(
    _ log: any MessageLog, _ names: TopicNames
  ) async throws -> [RequestPlace: String] {
    var outcomes: [RequestPlace: String] = [:]
    for (topic, what) in [(names.samples, "sample"), (names.deadLetters, "dead letter")] {
      try await TopicScan.each(log: log, topic: topic) { record in
        guard let coordinates = Self.source(of: record, requests: names.requests) else { return }
        place(coordinates, in: &outcomes, what: what)
      }
    }
    return outcomes
  }

  private mutating func place(_ request: RequestPlace, in outcomes: inout [RequestPlace: String], what: String) {
    if let first = outcomes.updateValue(what, forKey: request) {
      duplicates += 1
      note("requests/\(request.partition) at offset \(request.offset) is a \(what) and a \(first)")
    }
  }

  /// The headers say where a derived record came from; records without them (cuts) came from nowhere.
  private static func source(of record: Record, requests: String) -> RequestPlace? {
    func text(_ name: String) -> String? {
      record.headers.first { $0.name == name }.map { String(decoding: $0.value.prefix(300), as: UTF8.self) }
    }
    guard text("source-topic") == requests, let partition = text("source-partition").flatMap({ Int($0) }),
      let offset = text("source-offset").flatMap({ Int64($0) })
    else { return nil }
    return RequestPlace(partition: partition, offset: offset)
  }

  /// Walks the requests that are still there: each must lie in one ledger range and have an outcome.
  private mutating func match(
    _ extents: [Extent], _ ranges: [Int: [OffsetRange]], outcomes: [RequestPlace: String], all: Bool,
    _ log: any MessageLog,
    _ names: TopicNames
  ) async throws {
    let superseding = try await supersededRequests(log, names)
    let erased = try await Erasures(log: log, names: names)
    for extent in extents {
      let (partition, position) = (extent.partition, extent.position ?? 0)
      let sorted = (ranges[partition.partition] ?? []).sorted { $0.from < $1.from }
      for (one, next) in zip(sorted, sorted.dropFirst()) where next.from < one.to {
        duplicates += 1
        note("requests/\(partition.partition): offsets \(next.from) to \(one.to - 1) were labelled twice")
      }
      countRemoved(partition, sorted, position: extent.position, low: extent.marks.low)
      let accounted = max(position, sorted.map(\.to).max() ?? 0)
      let end = try await log.watermarks(of: partition).high
      if accounted > end {
        missing += 1
        note(
          "requests/\(partition.partition) ends at offset \(end), before \(accounted), up to which there are outcomes: it was made anew; "
            + "start over under another prefix")
      }
      var index = 0
      try await TopicScan.each(log: log, partition: partition, to: nil) { record in
        guard record.offset < (all ? extent.marks.high : position) else {
          waiting += 1
          return
        }
        while index < sorted.count && sorted[index].to <= record.offset { index += 1 }
        let coordinates = RequestPlace(partition: record.partition, offset: record.offset)
        let isInLedger = index < sorted.count && sorted[index].from <= record.offset
        let hasOutcome =
          outcomes[coordinates] != nil || erased.contains(coordinates) || superseding.contains(Self.id(of: record))
        if !isInLedger || !hasOutcome {
          missing += 1
          note("requests/\(record.partition) at offset \(record.offset) has no outcome")
        }
      }
    }
  }

  /// What a sample of a request has as its key: the request's id, under whatever key it came.
  private static func id(of record: Record) -> [UInt8] {
    (try? RecordCoding.value(of: record, as: RequestRecord.self)).map { Array($0.id.utf8) } ?? record.key ?? []
  }

  /// Counts the offsets below the log's start that no account names.
  private mutating func countRemoved(
    _ partition: TopicPartition, _ accounts: [OffsetRange], position: Int64?, low: Int64
  ) {
    guard !accounts.isEmpty || position != nil else { return }
    var next: Int64 = 0
    func count(to end: Int64) {
      let gap = next..<max(next, min(end, low))
      guard !gap.isEmpty else { return }
      removed += gap.count
      note(
        "requests/\(partition.partition): offsets \(gap.lowerBound) to \(gap.upperBound - 1) were removed before they were labelled, "
          + "unless they were marks of transactions")
    }
    for account in accounts {
      count(to: account.from)
      next = max(next, account.to)
    }
    count(to: low)
  }

  /// The ids that have a sample now: an earlier request of the same id may have had its sample compacted away.
  private func supersededRequests(_ log: any MessageLog, _ names: TopicNames) async throws -> Set<[UInt8]> {
    var keys: Set<[UInt8]> = []
    try await TopicScan.each(log: log, topic: names.samples) { record in
      if let key = record.key { keys.insert(key) }
    }
    return keys
  }

  private mutating func compareCounts(_ outcomes: [RequestPlace: String]) {
    if requests != samples + skipped + deadLetters {
      note("the ledger counts \(requests) requests and \(samples + skipped + deadLetters) outcomes")
    }
  }

  private mutating func note(_ finding: String) {
    if findings.count < 20 { findings.append(finding) }
  }
}
