public import MessageLog
public import Topics

/// The topics of a deployment as a log must have them.
public enum DeploymentTopics {
  /// The configuration of every topic.
  ///
  /// - Parameter requestPartitions: partitions of `requests`; the only number that is a deployment's own choice.
  public static func configurations(names: TopicNames, requestPartitions: Int) -> [TopicConfiguration] {
    TopicSpecification.all.map { specification in
      var topic = TopicConfiguration(
        name: names[specification],
        partitions: specification.name == RequestRecord.topic.name ? requestPartitions : specification.partitions,
        cleanup: Set(specification.cleanup.compactMap { CleanupPolicy(rawValue: $0.rawValue) }),
        retentionMilliseconds: specification.retentionMilliseconds,
        maximumMessageBytes: specification.maximumMessageBytes,
        timestampType: specification.logAppendTime ? .logAppend : .create)
      if let span = specification.tombstoneMilliseconds { topic.deleteRetentionMilliseconds = span }
      return topic
    }
  }

  /// What `retort topics apply` would do: the topics that are missing, and those that differ.
  ///
  /// - Parameter settingsAreKnown: whether the log says more of its topics than their partitions.
  public static func plan(
    log: any MessageLog, names: TopicNames, requestPartitions: Int, settingsAreKnown: Bool = true
  ) async throws -> (
    missing: [TopicConfiguration], differing: [(found: TopicConfiguration, wanted: TopicConfiguration)]
  ) {
    plan(
      found: try await log.topics(), names: names, requestPartitions: requestPartitions,
      settingsAreKnown: settingsAreKnown)
  }

  /// The same of the topics that a log has.
  package static func plan(
    found topics: [TopicConfiguration], names: TopicNames, requestPartitions: Int, settingsAreKnown: Bool = true
  ) -> (missing: [TopicConfiguration], differing: [(found: TopicConfiguration, wanted: TopicConfiguration)]) {
    let found = Dictionary(uniqueKeysWithValues: topics.map { ($0.name, $0) })
    var missing: [TopicConfiguration] = []
    var differing: [(found: TopicConfiguration, wanted: TopicConfiguration)] = []
    let configurations = configurations(names: names, requestPartitions: requestPartitions)
    for (specification, wanted) in zip(TopicSpecification.all, configurations) {
      guard let existing = found[wanted.name] else {
        missing.append(wanted)
        continue
      }
      var same = settingsAreKnown ? keepingRetention(of: existing, in: wanted) : existing
      // Tombstones that stay longer harm nobody.
      same.deleteRetentionMilliseconds = max(existing.deleteRetentionMilliseconds, same.deleteRetentionMilliseconds)
      // Where no order hangs on them more partitions are an operator's decision, fewer nobody's.
      same.partitions =
        specification.partitionsAreFixed ? wanted.partitions : max(existing.partitions, same.partitions)
      if existing.canonical != same.canonical { differing.append((existing, same)) }
    }
    return (missing, differing)
  }

  /// What is wanted, with the retention that is found where that is longer or has no limit: an operator's decision too, and
  /// a shorter one would delete what is there.
  private static func keepingRetention(
    of found: TopicConfiguration, in wanted: TopicConfiguration
  ) -> TopicConfiguration {
    // Deleting without any bound is not called deleting.
    let found = found.canonical
    guard found.cleanup.contains(.delete) || found.cleanup.union([.delete]) == wanted.cleanup,
      let retention = wanted.retentionMilliseconds, found.retentionMilliseconds ?? .max > retention
    else { return wanted }
    var kept = wanted
    kept.retentionMilliseconds = found.retentionMilliseconds
    // The only bound that is left is kept as well, or disks would fill.
    if found.retentionMilliseconds == nil { kept.retentionBytes = found.retentionBytes }
    return kept
  }

  /// Whether records of a topic may be taken out of order, as it has more partitions than it should.
  ///
  /// Whatever there are, all samples and artifacts are written to one and a model's releases and deployments share one, and the order
  /// of accounts and adoptions has no say.
  public static func orderIsLost(found: TopicConfiguration, wanted: TopicConfiguration, names: TopicNames) -> Bool {
    found.partitions > wanted.partitions && [names.checkpoints, names.deadLetters].contains(found.name)
  }

  /// Whether a topic differs only in that its tombstones stay too short a time, but a log's usual day at least, as earlier versions
  /// made it. That is no fault: a trainer that was away for longer finds erasures in the ledger.
  public static func lacksOnlyTombstoneTime(found: TopicConfiguration, wanted: TopicConfiguration) -> Bool {
    let usual = TopicConfiguration(name: found.name).deleteRetentionMilliseconds
    var same = wanted
    same.deleteRetentionMilliseconds = found.deleteRetentionMilliseconds
    return found.canonical == same.canonical && found.deleteRetentionMilliseconds >= usual
  }

  /// What can be done about a topic that has more partitions than it should.
  public static let partitionAdvice =
    "it cannot lose partitions: delete it only while nothing is in it, else use another log.prefix"

  /// In what a topic differs from what it should be, one phrase a setting.
  public static func differences(found: TopicConfiguration, wanted: TopicConfiguration) -> [String] {
    func show(_ value: Int64?) -> String { value.map { "\($0)" } ?? "no limit" }
    func show(_ cleanup: Set<CleanupPolicy>) -> String {
      cleanup.isEmpty ? "none" : cleanup.map(\.rawValue).sorted().joined(separator: ",")
    }
    let (found, wanted) = (found.canonical, wanted.canonical)
    let settings = [
      ("partitions", "\(found.partitions)", "\(wanted.partitions)"),
      ("cleanup", show(found.cleanup), show(wanted.cleanup)),
      ("retention in ms", show(found.retentionMilliseconds), show(wanted.retentionMilliseconds)),
      ("retention in bytes", show(found.retentionBytes), show(wanted.retentionBytes)),
      ("largest message in bytes", "\(found.maximumMessageBytes)", "\(wanted.maximumMessageBytes)"),
      ("timestamps", found.timestampType.rawValue, wanted.timestampType.rawValue),
      (
        "compaction lag in ms", "\(found.minimumCompactionLagMilliseconds)",
        "\(wanted.minimumCompactionLagMilliseconds)"
      ),
      (
        "tombstones kept in ms", "\(found.deleteRetentionMilliseconds)", "\(wanted.deleteRetentionMilliseconds)"
      ),
    ]
    return settings.filter { $0.1 != $0.2 }.map { "\($0.0) \($0.1), expected \($0.2)" }
  }

  /// Creates what is missing.
  ///
  /// - Parameter settingsAreKnown: as ``plan(log:names:requestPartitions:settingsAreKnown:)``.
  /// - Returns: what differs, and is left as it is.
  @discardableResult
  public static func ensure(
    log: any MessageLog, names: TopicNames, requestPartitions: Int, settingsAreKnown: Bool = true
  ) async throws -> [(found: TopicConfiguration, wanted: TopicConfiguration)] {
    let plan = try await plan(
      log: log, names: names, requestPartitions: requestPartitions, settingsAreKnown: settingsAreKnown)
    if !plan.missing.isEmpty { try await log.create(plan.missing) }
    return plan.differing
  }
}
