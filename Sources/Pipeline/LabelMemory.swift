import MessageLog
import RetortClient
import Topics

/// What a label stage has learned from the log, and done: each of its sessions goes on from where the one before it stopped.
struct LabelMemory {
  /// What the ledger says.
  var ledger = LedgerView()
  /// Which ids have been sampled.
  var duplicates = DuplicateIndex()
  /// Which words have been labelled; none where all requests are.
  private(set) var seen = SeenRequests()
  /// What the stage has done since it started.
  var done = LabelProgress()
  /// Up to where `samples` has been read.
  private var learned: [TopicPartition: Int64] = [:]
  private let isSelective: Bool

  /// - Parameter isSelective: whether requests are chosen by what was labelled before.
  init(isSelective: Bool) { self.isSelective = isSelective }

  /// Learns what `samples` holds beyond what was learned before.
  mutating func updateSamples(log: any MessageLog, names: TopicNames) async throws {
    learned = try await TopicScan.news(
      log: log, topic: names.samples, after: learned, anew: { (duplicates, seen) = (DuplicateIndex(), SeenRequests()) },
      { record in
        guard !record.isTombstone else {
          if let key = record.key { duplicates.forget(key) }
          return
        }
        guard let sample = try? RecordCoding.value(of: record, as: SampleRecord.self), sample.kind == .sample
        else { return }
        duplicates.learn(
          sample, isOfFeedback: record.headers.text(RecordHeaders.sourceTopic) == names.feedback)
        if isSelective { seen.learn(sample.messages) }
      })
  }

  /// Remembers a request that the teacher is asked about.
  mutating func ask(_ messages: [ChatMessage]) { seen.ask(messages) }

  /// Takes in what became of requests that were asked about: written, or lost with their partitions.
  mutating func settle(_ requests: [[ChatMessage]], isLabelled: Bool) {
    guard isSelective else { return }
    for messages in requests { seen.settle(messages, isLabelled: isLabelled) }
  }

  /// Forgets what a session had under way when it ended: asked about, or in a transaction that is not known to be committed.
  mutating func forgetUnwritten() {
    duplicates.forgetUnwritten()
    seen.forgetAsked()
  }
}
