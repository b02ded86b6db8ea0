import MessageLog
import RetortClient
import Topics

/// Where a request lies in `requests`, under whatever key, and what it says.
struct RequestTraces {
  /// Below the position of the label stage: these have an outcome.
  private(set) var decided: [RequestPlace] = []
  /// Above it: these will yet be labelled.
  private(set) var waiting: [RequestPlace] = []
  /// What was asked.
  private(set) var conversations: [[ChatMessage]] = []

  init(id: String, log: any MessageLog, names: TopicNames) async throws {
    let labelled = try await GroupProgress.decided(log: log, names: names)
    try await TopicScan.each(log: log, topic: names.requests) { record in
      if let request = try? RecordCoding.value(of: record, as: RequestRecord.self) {
        guard ExactString.equal(request.id, id) else { return }
        conversations.append(request.messages)
      } else {
        // What cannot be read is known by its key alone.
        guard record.key == Array(id.utf8) else { return }
      }
      let place = RequestPlace(partition: record.partition, offset: record.offset)
      if record.offset < labelled[record.topicPartition] ?? 0 { decided.append(place) } else { waiting.append(place) }
    }
  }
}

/// What labelling made of a request: its samples and dead letters, live or in a relabelling.
struct OutcomeTraces {
  private let names: TopicNames
  private var trained: [Int64] = []
  private var heldOut: [Int64] = []
  private var letters: [DeadLetters.Entry] = []
  private var isAlive = false
  /// What was asked, as the samples have it.
  private(set) var conversations: [[ChatMessage]] = []

  init(id: String, log: any MessageLog, names: TopicNames) async throws {
    self.names = names
    let key = Array(id.utf8)
    try await TopicScan.each(log: log, topic: names.samples) { record in
      guard record.key == key else { return }
      isAlive = !record.isTombstone
      guard isAlive else { return }
      let sample = try? RecordCoding.value(of: record, as: SampleRecord.self)
      if let sample { conversations.append(sample.messages) }
      // What cannot be read may have been trained on by a build that could.
      if let split = sample?.split, split != .train {
        heldOut.append(record.offset)
      } else {
        trained.append(record.offset)
      }
    }
    letters = try await DeadLetters.list(log: log, names: names).filter { $0.isAbout(id) }
  }

  /// Samples, older versions too.
  var samples: Int { trained.count + heldOut.count }
  /// Dead letters that were not erased before.
  var deadLetters: Int { letters.count }

  /// What is erased now and was erased before.
  func account(id: String, requests: [RequestPlace], before: Erasure?) -> Erasure {
    var erasure = before ?? Erasure(idDigest: .sha256(id))
    let partitions = Set(requests.map(\.partition) + erasure.requests.map(\.partition)).sorted()
    erasure.requests = partitions.flatMap { partition in
      OffsetRange.union(
        requests.filter { $0.partition == partition }.map(\.offset), erasure.requests, partition: partition)
    }
    erasure.samples = OffsetRange.union(trained, erasure.samples)
    erasure.heldOut = OffsetRange.union(heldOut, erasure.heldOut)
    erasure.deadLetters = OffsetRange.union(letters.map(\.offset), erasure.deadLetters)
    return erasure
  }

  /// The tombstone, the markers, and the account; none where nothing is new.
  func records(id: String, account: Erasures.Account, before: Erasure?) -> [NewRecord] {
    var records: [NewRecord] = []
    if isAlive {
      records.append(
        NewRecord(
          topic: names.samples, partition: 0, key: Array(id.utf8), value: nil,
          headers: RecordCoding.headers(of: SampleRecord.topic)))
    }
    records += letters.map { DeadLetters.marker(DeadLetters.erasedMark, $0, names: names) }
    guard account.erasure != before else { return records }
    let ledger = LedgerRecord(erasure: account.erasure, time: RFC3339.text(milliseconds: account.time))
    return records + [RecordCoding.record(ledger, topic: names.ledger, key: ledger.transaction)]
  }

  /// Where an account's samples and dead letters lie or lay.
  func places(_ account: Erasure) -> [TopicPartition: Set<Int64>] {
    [
      TopicPartition(topic: names.samples, partition: 0): Set((account.samples + account.heldOut).flatMap(\.offsets)),
      TopicPartition(topic: names.deadLetters, partition: 0): Set(account.deadLetters.flatMap(\.offsets)),
    ]
  }
}

extension DeadLetters.Entry {
  /// Whether the record that died was this request, by its id or, where it cannot be read, by its key.
  fileprivate func isAbout(_ id: String) -> Bool {
    let record = Record(
      topic: letter.source.topic, partition: letter.source.partition, offset: letter.source.offset, timestamp: 0,
      key: letter.key, value: letter.value, headers: letter.headers.map { Header($0.name, bytes: $0.value) })
    if let request = try? RecordCoding.value(of: record, as: RequestRecord.self) {
      return ExactString.equal(request.id, id)
    }
    return letter.key == Array(id.utf8)
  }
}
