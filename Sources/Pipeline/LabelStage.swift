public import Logging
public import MessageLog
public import Teacher
public import Topics

/// Stage 1 on the log: reads requests, has them labelled, writes samples, dead letters and the ledger.
///
/// Delivery: each transaction appends the outcomes of a contiguous range of requests, the ledger record of that range
/// and the group's position, all or nothing; teacher calls happen before it, at least once, and are cached. Ordering:
/// samples are in the order of the requests of each partition, whatever order the answers arrive in. Back-pressure:
/// at most `window` requests are read ahead, and no more when they have 128 MB. Cancellation: what is not written is
/// labelled again by whoever comes next.
public struct LabelStage: Sendable {
  /// How held-out shares are chosen.
  public struct Split: Sendable, Hashable {
    /// Mixed into the hash, so that two deployments split differently.
    public var salt: String
    /// Share of development samples, for thresholds.
    public var dev: Double
    /// Share of gate samples, for the gate alone.
    public var gate: Double

    /// A split; 4 % dev and 8 % gate by default.
    public init(salt: String = "retort", dev: Double = 0.04, gate: Double = 0.08) {
      self.salt = salt
      self.dev = dev
      self.gate = gate
    }

    /// The split of a conversation.
    func assign(_ messages: [ChatMessage]) -> Topics.Split {
      Topics.Split.assign(messages: messages, salt: salt, devShare: dev, gateShare: gate)
    }
  }

  let log: any MessageLog
  let names: TopicNames
  let teacher: Teacher
  let split: Split
  let functions: FunctionSet
  let trustedProducers: Set<String>
  /// How the requests that are labelled are chosen; `nil` labels all.
  let selection: LabelSelection?
  /// The requests of a relabelling; `nil` for all that come.
  let range: RequestRange?
  let logger: Logger
  /// Requests read ahead of what is written.
  let window: Int
  /// Most requests in one transaction.
  let transactionRecords: Int
  /// How long a finished request may wait for the transaction that writes it.
  let flushTimeout: Duration

  /// A label stage over a log.
  ///
  /// - Parameters:
  ///   - selection: how the requests that are labelled are chosen; `nil` labels all.
  ///   - range: what a relabelling reads, whose names say where it writes; `nil` labels all that come.
  public init(
    log: any MessageLog, names: TopicNames, teacher: Teacher, functions: FunctionSet, trustedProducers: Set<String>,
    split: Split = Split(), selection: LabelSelection? = nil, range: RequestRange? = nil, logger: Logger,
    window: Int = 2_000,
    transactionRecords: Int = 1_000,
    flushTimeout: Duration = .milliseconds(200)
  ) {
    self.log = log
    self.names = names
    self.teacher = teacher
    self.functions = functions
    self.trustedProducers = trustedProducers
    self.split = split
    self.selection = selection
    self.range = range
    self.logger = logger
    self.window = window
    self.transactionRecords = transactionRecords
    self.flushTimeout = flushTimeout
  }

  /// Labels until the mode says to stop.
  ///
  /// - Parameters:
  ///   - mode: for ever, or until every request in the log has its outcome.
  ///   - progress: called after each transaction.
  /// - Throws: an error of the log that no retry can help.
  public func run(_ mode: RunMode, progress: @Sendable (LabelProgress) -> Void = { _ in }) async throws {
    var memory = LabelMemory(isSelective: selection != nil)
    var hasBegun = false
    try await StageRetry.run("label", logger: logger) { _ in
      // Partitions that moved to another member, or a member that was away for too long: what was not written is labelled
      // again from the committed position, out of the cache.
      try await runSession(mode, &memory, &hasBegun, progress: progress)
    }
    try Task.checkCancellation()
  }

  private func runSession(
    _ mode: RunMode, _ memory: inout LabelMemory, _ hasBegun: inout Bool,
    progress: @Sendable (LabelProgress) -> Void
  ) async throws {
    // In this order: what was committed is then in the ledger.
    let committed = try await log.committedOffsets(group: names.labelGroup)
    try await memory.ledger.update(log: log, names: names)
    let accounted = try await range == nil ? accounted(memory.ledger.accounted, committed: committed) : [:]
    let functions = TaskFunctions(functions, in: memory.ledger, names: names)
    // Later on others may have functions that this process was started without: it goes on with its own.
    if !hasBegun { try functions.checkNoneIsMissing() }
    hasBegun = true
    memory.forgetUnwritten()
    var session = try await LabelSession(stage: self, functions: functions, accounted: accounted)
    // Not copied: it is large.
    swap(&session.memory, &memory)
    defer { swap(&session.memory, &memory) }
    do {
      try await session.run(mode, progress: progress)
    } catch {
      await session.close()
      throw error
    }
    await session.close()
  }

  /// Up to where requests have outcomes in the partitions of which the group has no position.
  ///
  /// - Parameter accounted: how far labelling has come, by the ledger.
  /// - Throws: ``PipelineError`` with `not_found`: requests of a topic that was made anew would be taken for those that had their
  ///   offsets before.
  private func accounted(
    _ accounted: [TopicPartition: GroupProgress.Accounted], committed: [TopicPartition: Int64]
  ) async throws -> [TopicPartition: Int64] {
    if let (partition, end, found) = try await GroupProgress.madeAnew(
      accounted, committed: committed, log: log, names: names
    ).first {
      throw PipelineError(
        .notFound, "\(partition)", expected: "the requests up to offset \(end), which have outcomes in the ledger",
        found: found, advice: "the topic was deleted and made anew: start over under another prefix")
    }
    let open = accounted.mapValues(\.end).filter { committed[$0.key] == nil }
    try await warnOfRemovedRequests(from: committed.merging(open) { committed, _ in committed })
    return open
  }

  /// Says which requests retention took before they had an outcome.
  private func warnOfRemovedRequests(from positions: [TopicPartition: Int64]) async throws {
    for partition in try await log.topics().first(where: { $0.name == names.requests })?.topicPartitions ?? [] {
      let (position, low) = (positions[partition] ?? 0, try await log.watermarks(of: partition).low)
      guard position < low else { continue }
      logger.warning(
        "label: requests were removed before they were labelled",
        metadata: ["partition": "\(partition)", "offsets": "\(position) to \(low - 1)"])
    }
  }

  /// Whether every request in the log has its outcome.
  public static func isIdle(log: any MessageLog, names: TopicNames) async throws -> Bool {
    try await GroupProgress.isAtEnd(group: names.labelGroup, of: names.requests, log: log)
  }
}

/// What the label stage has done since it started.
public struct LabelProgress: Sendable, Hashable {
  /// Requests that became samples.
  public var sampled = 0
  /// Requests skipped, by reason.
  public var skipped: [String: Int] = [:]
  /// Dead letters, by code.
  public var dead: [String: Int] = [:]

  /// Nothing yet.
  public init() {}

  /// Adds the counts of one transaction.
  mutating func add(_ other: LabelProgress) {
    sampled += other.sampled
    skipped.merge(other.skipped, uniquingKeysWith: +)
    dead.merge(other.dead, uniquingKeysWith: +)
  }

  /// All requests with an outcome.
  public var requests: Int { sampled + skipped.values.reduce(0, +) + dead.values.reduce(0, +) }
}
