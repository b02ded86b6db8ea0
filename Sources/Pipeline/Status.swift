public import MessageLog
public import Releases
import RetortClient
public import Topics

/// How far each stage is, read from the log.
public struct Status: Sendable {
  /// Requests that came: those with an outcome, by the ledger, and those that wait.
  public var requests: Int64 { labelled + unlabelled }
  /// Requests with an outcome.
  public private(set) var labelled: Int64 = 0
  /// Requests without an outcome.
  public private(set) var unlabelled: Int64 = 0
  /// Requests that became samples, by the ledger.
  public private(set) var samples: Int64 = 0
  /// Samples that the newest checkpoint has not consumed.
  public private(set) var untrained: Int64 = 0
  /// Whether the requests that wait were counted. Of more than ``countedOffsets`` offsets they are not: then the numbers hold
  /// offsets, of which some may belong to no record (marks of transactions, what was compacted).
  public private(set) var areRequestsCounted = true
  /// The same of the samples that wait.
  public private(set) var areSamplesCounted = true
  /// The newest checkpoint's round.
  public private(set) var round = 0
  /// Its prequential exact match of its last 8 rounds, in 0…1; `nil` where they predicted nothing of the uniform share.
  public private(set) var prequential: Double?
  /// What labelling cost, and how right the released student was meanwhile.
  public private(set) var labelling = LabellingReport()
  /// Candidates made.
  public private(set) var releases = 0
  /// The version that is deployed.
  public private(set) var deployed: Int?
  /// The epoch of its deployment; 0 for none.
  public private(set) var epoch: Int64 = 0
  /// What is wrong with what the log says, one sentence each; see ``problems(log:names:keys:model:)``.
  public private(set) var problems: [String] = []
  /// The newest word of each subscriber that has not said that it ends.
  public private(set) var adoptions: [AdoptionRecord] = []

  /// Reads the status of a deployment.
  public static func read(
    log: any MessageLog, names: TopicNames, keys: TrustedKeys?, model: String
  ) async throws -> Status {
    var status = Status()
    let labelled = try await GroupProgress.decided(log: log, names: names)
    for topic in try await log.topics() where topic.name == names.requests {
      for partition in topic.topicPartitions {
        let waiting = try await Self.waiting(log, partition, from: labelled[partition] ?? 0) { _ in true }
        status.unlabelled += waiting.count
        status.areRequestsCounted = status.areRequestsCounted && waiting.isCounted
      }
    }
    try await TopicScan.each(log: log, topic: names.ledger) { record in
      guard let entry = try? RecordCoding.value(of: record, as: LedgerRecord.self) else { return }
      status.labelled += Int64(entry.requests)
      status.samples += Int64(entry.count(of: .sampled))
    }
    let checkpoint = try await TrainStage.announced(log: log, names: names, model: model).progress
    let samples = TopicPartition(topic: names.samples, partition: 0)
    (status.untrained, status.areSamplesCounted) = try await waiting(
      log, samples, from: checkpoint?.position ?? 0
    ) { record in
      // Neither tombstones nor cuts.
      (try? RecordCoding.value(of: record, as: SampleRecord.self))?.kind == .sample
    }
    status.round = checkpoint?.round ?? 0
    status.prequential = checkpoint?.prequential?.exactMatch
    status.labelling = try await LabellingReport.read(log: log, names: names, model: model)
    let history = DeploymentScan(log: log, names: names, keys: keys)
    status.releases = try await history.releases(of: model).count
    let newest = try await history.newest(of: model)
    status.deployed = newest?.manifest.version
    status.epoch = newest?.epoch ?? 0
    status.problems = try await problems(log: log, names: names, keys: keys, model: model)
    var bySubscriber: [String: AdoptionRecord] = [:]
    try await TopicScan.each(log: log, topic: names.adoptions) { record in
      guard record.value != nil, let adoption = try? RecordCoding.value(of: record, as: AdoptionRecord.self),
        adoption.model == model
      else { return }
      bySubscriber[adoption.subscriber] = adoption
    }
    status.adoptions = bySubscriber.values.filter { $0.until == nil }.sorted { $0.subscriber < $1.subscriber }
    return status
  }

  /// Whether groups' positions are where records are, and whether the newest deployment is one that subscribers believe.
  public static func problems(
    log: any MessageLog, names: TopicNames, keys: TrustedKeys?, model: String
  ) async throws -> [String] {
    let positions = try await GroupProgress.problems(group: names.labelGroup, of: names.requests, log: log)
    var problems = positions
    // Where the group's position says so already, the ledger need not.
    let committed = try await log.committedOffsets(group: names.labelGroup)
    let accounted = try await GroupProgress.accounted(log: log, names: names)
    for (partition, end, found) in try await GroupProgress.madeAnew(
      accounted, committed: committed, log: log, names: names)
    where !positions.contains(where: { $0.hasPrefix("\(partition) ") }) {
      problems.append(
        "\(partition): expected the requests before \(end), which have outcomes, found \(found): it was made anew; "
          + "start over under another prefix")
    }
    problems += try await GroupProgress.problems(group: names.feedbackGroup, of: names.feedback, log: log)
    problems += try await GroupProgress.problems(
      group: names.releaseGroup(model: model), of: names.checkpoints, log: log)
    let standing = try await DeploymentScan(log: log, names: names, keys: keys).standing(of: model)
    if let refused = standing.refused { problems.append("a deployment is passed over: \(refused)") }
    if standing.unreadable > 0 {
      problems.append(
        "\(names.models) holds \(standing.unreadable) records that cannot be read; `retort topics check models` says why"
      )
    }
    return problems
  }

  /// Up to how many offsets what waits is counted.
  private static let countedOffsets: Int64 = 10_000

  /// How many records wait from an offset on, or how many offsets where those are too many to be counted.
  private static func waiting(
    _ log: any MessageLog, _ partition: TopicPartition, from offset: Int64, _ counts: (Record) -> Bool
  ) async throws -> (count: Int64, isCounted: Bool) {
    let marks = try await log.watermarks(of: partition)
    let start = max(marks.low, offset)
    guard marks.high - start <= countedOffsets else { return (marks.high - start, false) }
    guard start < marks.high else { return (0, true) }
    var count: Int64 = 0
    try await TopicScan.each(log: log, partition: partition, from: .offset(start), to: marks.high) { record in
      if counts(record) { count += 1 }
    }
    return (count, true)
  }

  /// The status as `retort status --json` prints it.
  public var json: JSON {
    [
      "requests": .integer(requests), "unlabelled": .integer(unlabelled), "samples": .integer(samples),
      "untrained": .integer(untrained), "counted": .bool(areRequestsCounted && areSamplesCounted),
      "round": .integer(Int64(round)),
      "prequential": prequential.map { .number($0) } ?? .null, "releases": .integer(Int64(releases)),
      "deployed_version": deployed.map { .integer(Int64($0)) } ?? .null, "epoch": .integer(epoch),
      "problems": .array(problems.map { .string($0) }),
      "teacher": labelling.json,
      "adoptions": .array(adoptions.map(\.json)),
    ]
  }
}
