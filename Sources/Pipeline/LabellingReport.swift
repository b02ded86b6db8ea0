public import Evaluation
public import MessageLog
import RetortClient
import Teacher
public import Topics

/// What labelling cost, and how right the released student was on live requests: accuracy against teacher calls spent.
public struct LabellingReport: Sendable {
  /// How right a release was on the requests that it was asked before their label was known.
  public struct LiveAccuracy: Sendable, Hashable {
    /// The release's version.
    public let version: Int
    /// The labelled requests that it was asked.
    public let count: Int
    /// Its exact match on the traffic, 0 to 1: weighted by the inverse propensities.
    public let exactMatch: Interval
  }

  /// Requests that the teacher was asked about.
  public private(set) var asked = 0
  /// Requests skipped, by reason.
  public private(set) var skipped: [String: Int] = [:]
  /// One entry a release of the model that was asked, by version; only with a labelling policy.
  public private(set) var live: [LiveAccuracy] = []
  /// Requests of the uniform share that came when a day's budget was spent, since the last of ``live`` was first asked: its accuracy
  /// is of the hours before.
  public private(set) var missed = 0

  /// What a release answered to a request that was labelled afterwards.
  private struct Opinion {
    let student: LabelChoice.StudentAnswer
    let weight: Double
    let text: Digest
    let time: Int64
  }

  /// Reads the ledger and the newest `limit` records of `samples`.
  ///
  /// - Parameter model: whose releases' answers count: another model has versions of the same numbers. Samples that do not say whose
  ///   answer they have count as well.
  public static func read(
    log: any MessageLog, names: TopicNames, model: String, limit: Int64 = 100_000
  ) async throws -> LabellingReport {
    var report = LabellingReport()
    var missed: [(time: Int64, count: Int)] = []
    try await TopicScan.each(log: log, topic: names.ledger) { record in
      guard let entry = try? RecordCoding.value(of: record, as: LedgerRecord.self) else { return }
      report.asked += entry.asked.reduce(0) { $0 + $1.count }
      for item in entry.outcomes where item.outcome == .skipped {
        report.skipped[item.reason ?? "", default: 0] += item.count
        if item.reason == LabellingPolicy.SkipReason.auditBudget.rawValue {
          missed.append((record.timestamp, item.count))
        }
      }
    }
    let partition = TopicPartition(topic: names.samples, partition: 0)
    let start = max(0, try await log.watermarks(of: partition).high - limit)
    // Of each request its newest label: corrections come behind what they correct, and erasures behind both.
    var newest: [String: Opinion] = [:]
    try await TopicScan.each(log: log, partition: partition, from: .offset(start), to: nil) { record in
      guard let id = record.key.map({ String(decoding: $0, as: UTF8.self) }) else { return }
      let sample = record.value == nil ? nil : try? RecordCoding.value(of: record, as: SampleRecord.self)
      newest[id] = sample.flatMap { sample in
        guard let student = sample.choice?.student, (student.model ?? model) == model else { return nil }
        return Opinion(
          student: student, weight: 1 / (sample.propensity ?? 1), text: .sha256(NormalisedText.of(sample.messages)),
          time: record.timestamp)
      }
    }
    report.live = Dictionary(grouping: newest.sorted { $0.key < $1.key }.map(\.value)) { $0.student.version }
      .sorted { $0.key < $1.key }.map { version, answers in
        let weights = SampleWeights(answers.map(\.weight), clusters: answers.map(\.text.hex))
        return LiveAccuracy(
          version: version, count: answers.count, exactMatch: weights.share { answers[$0].student.exact })
      }
    let last = report.live.last?.version
    if let start = newest.values.lazy.filter({ $0.student.version == last }).map(\.time).min() {
      report.missed = missed.reduce(0) { $0 + ($1.time >= start ? $1.count : 0) }
    }
    return report
  }

  /// The report as part of `retort status --json`.
  public var json: JSON {
    var reasons = JSONObject()
    for (reason, count) in skipped.sorted(by: { $0.key < $1.key }) { reasons[reason] = .integer(Int64(count)) }
    return [
      "asked": .integer(Int64(asked)), "skipped": .object(reasons),
      "live": .array(
        live.map {
          [
            "version": .integer(Int64($0.version)), "n": .integer(Int64($0.count)),
            "exact_match": .number($0.exactMatch.estimate), "interval": $0.exactMatch.json,
          ]
        }),
    ]
  }
}
