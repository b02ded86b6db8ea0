public import MessageLog
import RetortClient
public import Topics

/// The held-out samples below a position of `samples`: for thresholds (dev) and for the gate.
///
/// No training sees any, so that they may lie behind what a student has consumed; what is said of its labels does not.
public struct HeldOutSamples: Sendable {
  /// Development samples, oldest first.
  public private(set) var dev: [MeasuredSample] = []
  /// Gate samples, oldest first.
  public var gate: [MeasuredSample] { window.samples }
  /// The same with their places and teachers.
  let window: GateWindow
  /// The producers of the labels that the student has consumed.
  package private(set) var teachers: Set<String> = []
  /// Calls to the teacher that these labels took, of all splits: of each id those of the newest version that says so, which
  /// compaction leaves.
  package private(set) var teacherCalls = 0
  /// Samples that the student has consumed and that have been erased.
  package private(set) var erased = 0
  /// Held-out samples that are left out, since what the user says in them was trained on: it is so where the shares of the split
  /// were changed. By whichever student: what one may not have seen, the one that it is compared with has.
  package private(set) var trained = 0
  /// The first offset that is still in the log.
  private(set) var firstOffset: Int64 = 0

  /// As many as evidence may say; a stranger's sample may claim any number.
  static let maximumCalls = 1_000_000_000_000_000

  /// The most development samples that a release is measured on.
  public static let devLimit = 2_000

  /// Reads them; of each id the newest version counts, and none that has been erased, at the position or behind it.
  ///
  /// - Parameters:
  ///   - position: the offset after the last one that is read; all there are by default.
  ///   - consumed: the offset after the last one that the student has consumed; `position` by default.
  ///   - devLimit: the most development samples, the newest.
  ///   - gateLimit: the most gate samples, the newest.
  public init(
    log: any MessageLog, names: TopicNames, before position: Int64 = .max, consumed: Int64? = nil,
    devLimit: Int = devLimit, gateLimit: Int = 4_000
  ) async throws {
    let partition = TopicPartition(topic: names.samples, partition: 0)
    let consumed = consumed ?? position
    firstOffset = try await log.watermarks(of: partition).low
    var versions: [ExactString: (entry: GateWindow.Entry, split: Split)] = [:]
    var erasedIDs: Set<ExactString> = []
    var learned: Set<Digest> = []
    var producers: Set<String> = []
    var calls: [Digest: Int] = [:]
    try await TopicScan.each(log: log, partition: partition, to: position) { record in
      let isConsumed = record.offset < consumed
      guard record.value != nil else {
        let id = ExactString(String(decoding: record.key ?? [], as: UTF8.self))
        versions[id] = nil
        if isConsumed { erasedIDs.insert(id) }
        return
      }
      guard let sample = try? RecordCoding.value(of: record, as: SampleRecord.self), let call = sample.call,
        let split = sample.split
      else { return }
      let id = ExactString(sample.id)
      if isConsumed {
        if let producer = sample.producer { producers.insert(producer) }
        if let usage = sample.usage { calls[.sha256(record.key ?? [])] = usage.calls }
        erasedIDs.remove(id)
      }
      if split == .train {
        versions[id] = nil
        learned.insert(Self.text(of: sample.messages))
      } else {
        let measured = MeasuredSample(
          id: sample.id, messages: sample.messages, call: call, weight: 1 / (sample.propensity ?? 1))
        let old = versions[id]?.entry
        let entry = GateWindow.Entry(
          sample: measured, offset: record.offset, teacher: GateWindow.teacher(of: sample),
          hasChanged: old.map { $0.hasChanged || $0.sample.call != call } ?? false)
        versions[id] = (entry, split)
      }
    }
    teachers = producers
    teacherCalls = calls.values.reduce(0) { min($0 + $1, Self.maximumCalls) }
    // The ledger knows what deletion requests erased, also when compaction has taken the tombstones.
    let erasures = try await Erasures(log: log, names: names)
    erased =
      erasures.samples(in: 0..<consumed).offsetCount + erasedIDs.count { erasures.accounts[.sha256($0.text)] == nil }
    let gone = erasures.samples
    let whole = versions.values.filter { !gone.contains($0.entry.offset) }
    let ordered = whole.filter { !learned.contains(Self.text(of: $0.entry.sample.messages)) }
      .sorted { $0.entry.offset < $1.entry.offset }
    trained = whole.count - ordered.count
    dev = ordered.filter { $0.split == .dev }.suffix(devLimit).map(\.entry.sample)
    window = GateWindow(ordered.filter { $0.split == .gate }.map(\.entry), limit: gateLimit)
  }

  /// What a split goes by.
  private static func text(of messages: [ChatMessage]) -> Digest { .sha256(NormalisedText.of(messages)) }
}
