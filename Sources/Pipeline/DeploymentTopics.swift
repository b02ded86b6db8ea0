public import MessageLog
public import Topics

/// The topics of a deployment as a log must have them.
public enum DeploymentTopics {
  /// The configuration of every topic.
  ///
  /// - Parameter requestPartitions: partitions of `requests`; the only number that is a deployment's own choice.
  public static func configurations(names: TopicNames, requestPartitions: Int) -> [TopicConfiguration] {
    TopicSpecification.all.map { specification in
      TopicConfiguration(
        name: names[specification],
        partitions: specification.name == RequestRecord.topic.name ? requestPartitions : specification.partitions,
        cleanup: Set(specification.cleanup.compactMap { CleanupPolicy(rawValue: $0.rawValue) }),
        retentionMilliseconds: specification.retentionMilliseconds,
        maximumMessageBytes: specification.maximumMessageBytes,
        timestampType: specification.logAppendTime ? .logAppend : .create)
    }
  }

  /// What `retort topics apply` would do: the topics that are missing, and those that differ.
  public static func plan(
    log: any MessageLog, names: TopicNames, requestPartitions: Int
  ) async throws -> (
    missing: [TopicConfiguration], differing: [(found: TopicConfiguration, wanted: TopicConfiguration)]
  ) {
    let found = Dictionary(uniqueKeysWithValues: try await log.topics().map { ($0.name, $0) })
    var missing: [TopicConfiguration] = []
    var differing: [(found: TopicConfiguration, wanted: TopicConfiguration)] = []
    for wanted in configurations(names: names, requestPartitions: requestPartitions) {
      guard let existing = found[wanted.name] else {
        missing.append(wanted)
        continue
      }
      var same = wanted
      // The partitions of requests were chosen when it was created; more later is an operator's decision.
      if wanted.name == names.requests { same.partitions = existing.partitions }
      if existing != same { differing.append((existing, same)) }
    }
    return (missing, differing)
  }

  /// Creates what is missing.
  public static func ensure(log: any MessageLog, names: TopicNames, requestPartitions: Int) async throws {
    let plan = try await plan(log: log, names: names, requestPartitions: requestPartitions)
    if !plan.missing.isEmpty { try await log.create(plan.missing) }
  }
}
