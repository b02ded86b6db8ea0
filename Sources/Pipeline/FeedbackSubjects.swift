import MessageLog
import RetortClient
import Topics

/// The requests that feedback is about: their newest samples, or the requests themselves.
///
/// Kept while feedback is joined: each look reads what the log holds since the last one, and the records that are asked for. Holds
/// some 40 bytes for each id in `samples` and, once a statement is on a request without a sample, in `requests`.
struct FeedbackSubjects {
  /// A request with what labelling made of it.
  struct Subject {
    let messages: [ChatMessage]
    /// Its newest sample; nil where it has none.
    let sample: SampleRecord?
    /// Whether that is a correction, as its record says.
    var isCorrected = false
    /// What a sample of it would be that only its correction chose.
    let unlabelled: SampleRecord?
    /// The call that was answered, where that was asked for and the log still has it.
    var answer: Call?
  }

  /// What a look found.
  struct Found {
    /// By the request's id; erased ones are not found.
    var subjects: [String: Subject] = [:]
    /// Where labelling has to come, by partition, until all of them have their outcome.
    var undecided: [TopicPartition: Int64] = [:]
    /// What was known of each then.
    fileprivate var states: [String: State] = [:]
  }

  /// What a new version of a sample is made from: another newest sample or an erasure makes it out of date.
  fileprivate struct State: Hashable {
    let sample: Int64?
    let erasure: Erasure?
  }

  /// What the ledger says, as of the last look.
  private(set) var ledger = LedgerView()
  private let log: any MessageLog
  private let names: TopicNames
  /// The offset of the newest sample, by the hash of its id.
  private var samples: [UInt64: Int64] = [:]
  /// The newest request, by the hash of its id.
  private var requests: [UInt64: RequestPlace] = [:]
  /// Up to where `samples` has been read.
  private var learnedSamples: [TopicPartition: Int64] = [:]
  /// Up to where `requests` has been read.
  private var learnedRequests: [TopicPartition: Int64] = [:]

  init(log: any MessageLog, names: TopicNames) {
    self.log = log
    self.names = names
  }

  /// Finds the samples of requests, and the requests that have none.
  ///
  /// - Parameter judged: those of which the answer that stands in the request is wanted too.
  mutating func find(_ ids: Set<String>, judged: Set<String>) async throws -> Found {
    // Read first: what is decided by now has its sample in what is read afterwards.
    let committed = try await log.committedOffsets(group: names.labelGroup)
    try await update()
    var found = Found()
    for id in ids { found.states[id] = state(of: id) }
    let partition = TopicPartition(topic: names.samples, partition: 0)
    for record in try await read(ids.compactMap { samples[Self.hash(of: $0)] }, of: partition) {
      guard let sample = try? RecordCoding.value(of: record, as: SampleRecord.self), sample.kind == .sample,
        ids.contains(sample.id)
      else { continue }
      found.subjects[sample.id] = Subject(
        messages: sample.messages, sample: sample,
        isCorrected: record.headers.text(RecordHeaders.sourceTopic) == names.feedback, unlabelled: nil)
    }
    try await addAnswers(of: judged, to: &found)
    try await addUnlabelled(
      ids.filter { found.subjects[$0] == nil && ledger.erasures.accounts[.sha256($0)] == nil }, committed, to: &found)
    return found
  }

  /// Those of the requests that have been erased or labelled anew since they were found.
  mutating func changed(_ ids: Set<String>, since found: Found) async throws -> Set<String> {
    try await update()
    return ids.filter { state(of: $0) != found.states[$0] }
  }

  /// Learns what the log holds of samples and erasures beyond what was learned before.
  mutating func update() async throws {
    try await updateLedger()
    learnedSamples = try await TopicScan.news(
      log: log, topic: names.samples, after: learnedSamples, anew: { samples = [:] },
      { record in
        guard record.partition == 0, let key = record.key else { return }
        samples[Self.hash(of: key)] = record.isTombstone ? nil : record.offset
      })
  }

  /// Learns what the ledger holds beyond what was learned before.
  mutating func updateLedger() async throws { try await ledger.update(log: log, names: names) }

  private func state(of id: String) -> State {
    State(sample: samples[Self.hash(of: id)], erasure: ledger.erasures.accounts[.sha256(id)]?.erasure)
  }

  /// The answers that stand in the requests that samples came from.
  private func addAnswers(of ids: Set<String>, to found: inout Found) async throws {
    var places: [TopicPartition: [Int64]] = [:]
    for source in ids.compactMap({ found.subjects[$0]?.sample?.source }) where source.topic == names.requests {
      places[TopicPartition(topic: source.topic, partition: source.partition), default: []].append(source.offset)
    }
    for (partition, offsets) in places {
      for record in try await read(offsets, of: partition) {
        guard let request = try? RecordCoding.value(of: record, as: RequestRecord.self), ids.contains(request.id)
        else { continue }
        found.subjects[request.id]?.answer = try? request.response?.answeredCall()
      }
    }
  }

  /// The requests that nobody labelled, and those that labelling has not come to.
  private mutating func addUnlabelled(
    _ ids: Set<String>, _ committed: [TopicPartition: Int64], to found: inout Found
  ) async throws {
    if ids.isEmpty { return }
    learnedRequests = try await TopicScan.news(
      log: log, topic: names.requests, after: learnedRequests, anew: { requests = [:] },
      { record in
        guard let request = try? RecordCoding.value(of: record, as: RequestRecord.self) else { return }
        requests[Self.hash(of: request.id)] = RequestPlace(partition: record.partition, offset: record.offset)
      })
    var places: [TopicPartition: [Int64]] = [:]
    for place in ids.compactMap({ requests[Self.hash(of: $0)] }) {
      let partition = TopicPartition(topic: names.requests, partition: place.partition)
      if place.offset < committed[partition] ?? 0 {
        places[partition, default: []].append(place.offset)
      } else {
        found.undecided[partition] = max(found.undecided[partition] ?? 0, place.offset + 1)
      }
    }
    for (partition, offsets) in places {
      for record in try await read(offsets, of: partition) {
        guard let request = try? RecordCoding.value(of: record, as: RequestRecord.self), ids.contains(request.id)
        else { continue }
        found.subjects[request.id] = Subject(
          messages: request.messages, sample: nil, unlabelled: Self.sample(of: request, record))
      }
    }
  }

  /// How many records are rather read than passed over.
  private static let nearby: Int64 = 1_000

  /// The records that are still there at some offsets.
  private func read(_ offsets: [Int64], of partition: TopicPartition) async throws -> [Record] {
    let marks = try await log.watermarks(of: partition)
    let wanted = Set(offsets.filter { (marks.low..<marks.high).contains($0) })
    var open = wanted.sorted()[...]
    guard let first = open.first else { return [] }
    var found: [Record] = []
    let reader = try await log.reader(
      of: [partition: .offset(first)],
      options: ReaderOptions(onLostRange: .skip, maximumPrefetch: 100, endNotice: .milliseconds(10)))
    do {
      while let next = open.first {
        if next - (await reader.positions[partition] ?? next) > Self.nearby {
          try await reader.seek(partition, to: .offset(next))
        }
        found += try await reader.next(maximum: 500, timeout: .milliseconds(20)).filter { wanted.contains($0.offset) }
        let position = await reader.positions[partition] ?? .max
        open = open.drop { $0 < position }
      }
    } catch {
      await reader.close()
      throw error
    }
    await reader.close()
    return found
  }

  private static func hash(of id: String) -> UInt64 { hash(of: Array(id.utf8)) }

  /// Eight bytes of SHA-256: a client that chooses ids cannot make them meet.
  private static func hash(of key: [UInt8]) -> UInt64 {
    Digest.sha256(key).bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// The place in the log and the messages of a request that nobody labelled; its call is the correction's to give.
  private static func sample(of request: RequestRecord, _ record: Record) -> SampleRecord {
    var sample = SampleRecord(
      id: request.id, messages: request.messages, call: Call(name: "", arguments: [:]), split: .train, audited: false)
    sample.source = RecordCoordinates(topic: record.topic, partition: record.partition, offset: record.offset)
    return sample
  }
}
