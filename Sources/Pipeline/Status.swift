public import MessageLog
import RetortClient
public import Topics

/// How far each stage is, read from the log.
public struct Status: Sendable {
  /// Requests in the log.
  public private(set) var requests: Int64 = 0
  /// Requests without an outcome.
  public private(set) var unlabelled: Int64 = 0
  /// Records of `samples`.
  public private(set) var samples: Int64 = 0
  /// Records of `samples` that the newest checkpoint has not consumed.
  public private(set) var untrained: Int64 = 0
  /// The newest checkpoint's round.
  public private(set) var round = 0
  /// Its prequential exact match, in 0…1; `nil` before there is one.
  public private(set) var prequential: Double?
  /// Candidates made.
  public private(set) var releases = 0
  /// The version that is deployed.
  public private(set) var deployed: Int?
  /// The epoch of its deployment; 0 for none.
  public private(set) var epoch: Int64 = 0
  /// The newest word of each subscriber.
  public private(set) var adoptions: [AdoptionRecord] = []

  /// Reads the status of a deployment.
  public static func read(log: any MessageLog, names: TopicNames, model: String) async throws -> Status {
    var status = Status()
    let committed = try await log.committedOffsets(group: names.labelGroup)
    for topic in try await log.topics() where topic.name == names.requests {
      for partition in topic.topicPartitions {
        let marks = try await log.watermarks(of: partition)
        status.requests += marks.high - marks.low
        status.unlabelled += max(0, marks.high - max(marks.low, committed[partition] ?? 0))
      }
    }
    let checkpoint = try await TrainStage.announced(log: log, names: names, model: model).progress
    let samples = try await log.watermarks(of: TopicPartition(topic: names.samples, partition: 0))
    status.samples = samples.high - samples.low
    status.untrained = max(0, samples.high - max(samples.low, checkpoint?.position ?? 0))
    status.round = checkpoint?.round ?? 0
    status.prequential = checkpoint?.prequential?.exactMatch
    status.releases = try await DeploymentScan.releases(of: model, log: log, names: names).count
    let newest = try await DeploymentScan.newest(of: model, log: log, names: names)
    status.deployed = newest?.manifest.version
    status.epoch = newest?.epoch ?? 0
    var bySubscriber: [String: AdoptionRecord] = [:]
    try await TopicScan.each(log: log, topic: names.adoptions) { record in
      guard record.value != nil, let adoption = try? RecordCoding.value(of: record, as: AdoptionRecord.self),
        adoption.model == model
      else { return }
      bySubscriber[adoption.subscriber] = adoption
    }
    status.adoptions = bySubscriber.values.sorted { $0.subscriber < $1.subscriber }
    return status
  }

  /// The status as `retort status --json` prints it.
  public var json: JSON {
    [
      "requests": .integer(requests), "unlabelled": .integer(unlabelled), "samples": .integer(samples),
      "untrained": .integer(untrained), "round": .integer(Int64(round)),
      "prequential": prequential.map { .number($0) } ?? .null, "releases": .integer(Int64(releases)),
      "deployed_version": deployed.map { .integer(Int64($0)) } ?? .null, "epoch": .integer(epoch),
      "adoptions": .array(adoptions.map(\.json)),
    ]
  }
}
