public import Inference
public import MessageLog
import RetortClient
public import Teacher
public import Topics

/// Has the external verifier judge what a student answers, and says so on `feedback`.
///
/// Training never asks anybody: a verdict is data before it is a reward. So a verdict takes the way that production's scores
/// take: a record on `feedback`, joined into a version of the sample by ``FeedbackStage``, learned at its place in `samples`.
/// An answer that nobody has judged, because the student has changed since, is worth what the label says.
///
/// Delivery: at least once; a verdict that is said twice joins once. Held-out samples are never answered here.
public struct AnswerJudging: Sendable {
  /// Whose verdicts they are, on `feedback` and in samples.
  public static let producer = "verifier"

  /// What came of a run.
  public struct Report: Sendable, Hashable {
    /// The samples whose requests were answered.
    public var samples = 0
    /// Different answers that were neither the label nor judged before.
    public var answers = 0
    /// Those that passed every check.
    public var accepted = 0
    /// Those that did not.
    public var refused = 0
    /// Those on which the verifier failed: nothing is said of them.
    public var failed = 0
    /// Why it failed on the first of them.
    public var failure: String?
  }

  private let log: any MessageLog
  private let names: TopicNames
  private let teacher: Teacher
  private let draws: Int
  private let temperature: Double
  private let seed: UInt64

  /// - Parameters:
  ///   - teacher: checks a call as it would check a label of its own.
  ///   - draws: answers to a request, 1 or more.
  ///   - temperature: what logits are divided by; 1 draws from the student itself.
  ///   - seed: names the draws.
  public init(
    log: any MessageLog, names: TopicNames, teacher: Teacher, draws: Int, temperature: Double, seed: UInt64
  ) {
    self.log = log
    self.names = names
    self.teacher = teacher
    self.draws = max(1, draws)
    self.temperature = temperature
    self.seed = seed
  }

  /// Answers the newest training samples, and judges the answers.
  ///
  /// - Parameters:
  ///   - model: the student.
  ///   - limit: the most samples.
  ///   - progress: called with how many samples are done, of how many.
  /// - Throws: an error of the log or the decoder; `CancellationError`.
  public func run(
    _ model: ServingModel, limit: Int, progress: (Int, Int) -> Void = { _, _ in }
  ) async throws -> Report {
    let samples = try await newest(limit)
    var report = Report()
    for start in stride(from: 0, to: samples.count, by: Self.batch) {
      let part = samples[start..<min(start + Self.batch, samples.count)]
      let questions = part.flatMap { Array(repeating: $0.messages, count: draws) }
      let options = DecodeOptions(
        sampling: DecodeOptions.Sampling(temperature: temperature, seed: seed &+ UInt64(start)))
      let calls = try Answering.calls(of: questions, model: model, batch: questions.count, options: options)
      let candidates = part.enumerated().flatMap { index, sample in
        Self.candidates(calls[index * draws..<(index + 1) * draws], of: sample).map { (sample, $0) }
      }
      let verdicts = try await judge(candidates, &report)
      if !verdicts.isEmpty {
        _ = try await log.append(
          verdicts.map { RecordCoding.record($0, topic: names.feedback, key: $0.requestID) })
      }
      report.samples += part.count
      progress(report.samples, samples.count)
    }
    return report
  }

  /// Samples at a time.
  private static let batch = 8

  /// The newest training samples, none that is replaced or erased; in the order of their ids, since judging moves them to the
  /// end, and the same samples should give the same draws.
  private func newest(_ limit: Int) async throws -> [SampleRecord] {
    let partition = TopicPartition(topic: names.samples, partition: 0)
    var versions: [String: Int64] = [:]
    try await TopicScan.each(log: log, partition: partition, to: nil) { record in
      versions[String(decoding: record.key ?? [], as: UTF8.self)] = nil
      guard record.value != nil, let sample = try? RecordCoding.value(of: record, as: SampleRecord.self),
        sample.split == .train
      else { return }
      versions[sample.id] = record.offset
    }
    // What is answered is read again: only so many samples are in memory, however many there are.
    let wanted = Set(versions.values.sorted().suffix(limit))
    guard let first = wanted.min(), let last = wanted.max() else { return [] }
    var samples: [SampleRecord] = []
    try await TopicScan.each(log: log, partition: partition, from: .offset(first), to: last + 1) { record in
      guard wanted.contains(record.offset) else { return }
      samples.append(try RecordCoding.value(of: record, as: SampleRecord.self))
    }
    return samples.sorted { $0.id < $1.id }
  }

  /// The different answers of which nothing is known yet.
  private static func candidates(_ calls: ArraySlice<Call?>, of sample: SampleRecord) -> [Call] {
    var known = Set(([sample.call].compactMap { $0 } + sample.judged.map(\.call)).map { $0.json.canonical })
    return calls.compactMap { $0 }.filter { known.insert($0.json.canonical).inserted }
  }

  private func judge(
    _ candidates: [(sample: SampleRecord, answer: Call)], _ report: inout Report
  ) async throws -> [FeedbackRecord] {
    var verdicts: [FeedbackRecord] = []
    for (sample, answer) in candidates {
      report.answers += 1
      let outcome = try await teacher.check(
        answer, for: RequestRecord(id: sample.id, messages: sample.messages), producer: Self.producer)
      let (score, reason): (Double, String?)
      switch outcome {
      case .accepted(let label): (score, reason) = (1, label.verdicts.last?.detail)
      case .rejected(let rejection) where rejection.code != .verifierFailed:
        (score, reason) = (0, String(rejection.message.prefix(300)).shortened(toBytes: 4_096))
      case .rejected(let rejection):
        report.failed += 1
        report.failure = report.failure ?? rejection.message
        continue
      case .skipped:
        report.failed += 1
        continue
      }
      if score == 1 { report.accepted += 1 } else { report.refused += 1 }
      verdicts.append(
        FeedbackRecord(requestID: sample.id, score: score, answer: answer, producer: Self.producer, comment: reason))
    }
    return verdicts
  }
}
