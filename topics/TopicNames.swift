/// The full names of the topics of one deployment: the prefix and the topic's own name.
public struct TopicNames: Sendable, Hashable {
  /// What every name of this deployment begins with; `retort.` by default.
  public let prefix: String
  /// What the names of all that labelling writes begin with: samples, ledger, dead letters, and the label group.
  public let labelPrefix: String

  /// Names with the given prefix.
  public init(prefix: String = "retort.") {
    self.prefix = prefix
    labelPrefix = prefix
  }

  private init(prefix: String, labelPrefix: String) {
    self.prefix = prefix
    self.labelPrefix = labelPrefix
  }

  /// The same deployment, with the samples, ledger and dead letters of a relabelling: `retort.relabel.<name>.samples` and
  /// so on, which no other deployment's prefix is likely to be.
  public func relabelled(as name: String) -> TopicNames {
    TopicNames(prefix: prefix, labelPrefix: prefix + Self.relabel + name + ".")
  }

  /// Whether these are the names of a relabelling.
  public var isRelabelled: Bool { labelPrefix != prefix }

  /// Every relabelling of this deployment, by the topics that a log has.
  public func relabellings(among topics: some Sequence<String>) -> [TopicNames] {
    topics.compactMap { topic in
      let start = prefix + Self.relabel
      let end = "." + SampleRecord.topic.name
      guard topic.hasPrefix(start), topic.hasSuffix(end), topic.utf8.count > start.utf8.count + end.utf8.count
      else { return nil }
      return relabelled(as: String(topic.dropFirst(start.count).dropLast(end.count)))
    }
  }

  private static let relabel = "relabel."

  /// The full name of a topic.
  public subscript(_ topic: TopicSpecification) -> String {
    switch topic.name {
    case SampleRecord.topic.name, LedgerRecord.topic.name, DeadLetterRecord.topic.name: labelPrefix + topic.name
    default: prefix + topic.name
    }
  }

  /// Where requests arrive.
  public var requests: String { self[RequestRecord.topic] }
  /// The labelled samples, in training order.
  public var samples: String { self[SampleRecord.topic] }
  /// One record per label transaction.
  public var ledger: String { self[LedgerRecord.topic] }
  /// Requests without a label, with the reason.
  public var deadLetters: String { self[DeadLetterRecord.topic] }
  /// The trainer's checkpoints.
  public var checkpoints: String { self[CheckpointRecord.topic] }
  /// Every candidate's manifest and verdict.
  public var releases: String { self[ReleaseRecord.topic] }
  /// The deploy topic.
  public var models: String { self[DeploymentRecord.topic] }
  /// The chunks of released files.
  public var artifacts: String { self[ArtifactChunk.topic] }
  /// Which subscriber runs which release.
  public var adoptions: String { self[AdoptionRecord.topic] }
  /// Outcomes of answers in production.
  public var feedback: String { self[FeedbackRecord.topic] }

  /// The consumer group of the label stage.
  public var labelGroup: String { labelPrefix + "label" }

  /// The consumer group that joins feedback into samples.
  public var feedbackGroup: String { prefix + "feedback" }

  /// The consumer group of the release stage of a model.
  public func releaseGroup(model: String) -> String { prefix + "release." + model }
}
