/// The full names of the topics of one deployment: the prefix and the topic's own name.
public struct TopicNames: Sendable, Hashable {
  /// What every name of this deployment begins with; `retort.` by default.
  public let prefix: String

  /// Names with the given prefix.
  public init(prefix: String = "retort.") {
    self.prefix = prefix
  }

  /// The full name of a topic.
  public subscript(_ topic: TopicSpecification) -> String { prefix + topic.name }

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
  public var labelGroup: String { prefix + "label" }

  /// The consumer group of the release stage of a model.
  public func releaseGroup(model: String) -> String { prefix + "release." + model }
}
