import MessageLog
import RetortClient
import Topics

/// The requests that feedback is about: their newest samples, or the requests themselves.
struct FeedbackSubjects {
  /// A request with what labelling made of it.
  struct Subject {
    let messages: [ChatMessage]
    /// Its newest sample; nil where it has none.
    let sample: SampleRecord?
    /// What a sample of it would be that only its correction chose.
    let unlabelled: SampleRecord?
    /// The call that was answered, where that was asked for and the log still has it.
    var answer: Call?
  }

  /// By the request's id; erased ones are not found.
  private(set) var found: [String: Subject] = [:]
  /// Where labelling has to come, by partition, until all of them have their outcome.
  private(set) var undecided: [TopicPartition: Int64] = [:]

  /// Scans `samples`, and `requests` for what has no sample and for answers.
  ///
  /// - Parameter judged: those of which the answer that stands in the request is wanted too.
  init(_ ids: Set<String>, judged: Set<String>, log: any MessageLog, names: TopicNames) async throws {
    let erasures = try await Erasures(log: log, names: names)
    var missing = ids.filter { erasures.accounts[.sha256($0)] == nil }
    try await TopicScan.each(log: log, topic: names.samples) { record in
      guard let key = record.key.map({ String(decoding: $0, as: UTF8.self) }), ids.contains(key) else { return }
      found[key] = nil
      guard record.value != nil, let sample = try? RecordCoding.value(of: record, as: SampleRecord.self),
        sample.kind == .sample
      else { return }
      found[key] = Subject(messages: sample.messages, sample: sample, unlabelled: nil)
    }
    missing.subtract(found.keys)
    let answered = judged.filter { found[$0] != nil }
    guard !missing.isEmpty || !answered.isEmpty else { return }
    let committed = try await log.committedOffsets(group: names.labelGroup)
    try await TopicScan.each(log: log, topic: names.requests) { record in
      guard record.value != nil, let request = try? RecordCoding.value(of: record, as: RequestRecord.self) else {
        return
      }
      if answered.contains(request.id), let call = try? request.response?.answeredCall() {
        found[request.id]?.answer = call
      }
      guard missing.contains(request.id) else { return }
      guard record.offset < committed[record.topicPartition] ?? 0 else {
        undecided[record.topicPartition] = record.offset + 1
        return
      }
      found[request.id] = Subject(messages: request.messages, sample: nil, unlabelled: Self.sample(of: request, record))
    }
  }

  /// The place in the log and the messages of a request that nobody labelled; its call is the correction's to give.
  private static func sample(of request: RequestRecord, _ record: Record) -> SampleRecord {
    var sample = SampleRecord(
      id: request.id, messages: request.messages, call: Call(name: "", arguments: [:]), split: .train, audited: false)
    sample.source = RecordCoordinates(topic: record.topic, partition: record.partition, offset: record.offset)
    return sample
  }
}
