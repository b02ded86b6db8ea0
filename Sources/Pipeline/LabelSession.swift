import Logging
import MessageLog
import Teacher
import Topics

/// One membership of the label group, from joining to leaving it or losing it.
struct LabelSession {
  private let stage: LabelStage
  private let reader: any GroupReader
  private let writer: any TransactionalWriter
  private var window = LabelWindow<LabelledRequest>()
  private var functions: TaskFunctions
  /// What the stage knows, which it puts here while the session runs.
  var memory: LabelMemory
  private var range: RequestRange?
  private let chooser: LabelChooser?
  private var asked = AskedRequests()
  private let lag: LagMeter
  /// The partitions whose samples the memory has up to the moment when they were taken.
  private var indexed: [TopicPartition: Int64] = [:]
  /// Up to where requests have outcomes in partitions of which the group had no position: those before are not read again.
  private let accounted: [TopicPartition: Int64]
  /// What the group has committed, by the partitions that are read here.
  private var committed: [TopicPartition: Int64] = [:]

  /// From this on nothing is read: the most bytes of requests that wait, but for those of one reading.
  private static let windowBytes = 128 << 20
  /// The most bytes of outcomes in one transaction, which must be over before the log gives it up.
  private static let transactionBytes = 16 << 20

  /// What a child task reports.
  private enum Event: Sendable {
    case outcome(TopicPartition, Int64, LabelledRequest)
    case tick
  }

  init(stage: LabelStage, functions: TaskFunctions, accounted: [TopicPartition: Int64]) async throws {
    self.stage = stage
    self.functions = functions
    self.accounted = accounted
    memory = LabelMemory(isSelective: false)
    range = stage.range
    lag = LagMeter(stage: "label", log: stage.log)
    chooser = stage.selection.map { LabelChooser(stage: stage, selection: $0) }
    reader = try await stage.log.groupReader(
      group: stage.names.labelGroup, topics: [stage.names.requests],
      options: ReaderOptions(
        onLostRange: stage.range == nil ? .skip : .fail, maximumPrefetch: 100_000, maximumPrefetchBytes: 64 << 20))
    do {
      let member = try await reader.membership.memberID
      writer = try await stage.log.transactionalWriter(id: "\(stage.names.labelGroup).\(member)")
    } catch {
      await reader.close()
      throw error
    }
  }

  /// Leaves the group, so that another member need not wait for the lease to lapse.
  func close() async {
    await writer.close()
    await reader.close()
  }

  mutating func run(_ mode: RunMode, progress: @Sendable (LabelProgress) -> Void) async throws {
    try await withThrowingTaskGroup(of: Event.self) { tasks in
      defer { tasks.cancelAll() }
      var tickIsDue = true
      while !Task.isCancelled {
        try await read(into: &tasks)
        lag.note(committed)
        if window.isEmpty {
          try await commitHoles()
          if mode == .untilIdle, try await isIdle { return }
          continue
        }
        // However long an answer takes, what is finished is written, and what comes meanwhile is read.
        if window.waiting > 0, tickIsDue {
          tickIsDue = false
          let timeout = stage.flushTimeout
          tasks.addTask {
            try await Task.sleep(for: timeout)
            return .tick
          }
        }
        var mustWrite = window.waiting == 0
        if window.waiting > 0 {
          switch try await tasks.next() {
          case .outcome(let partition, let offset, let outcome):
            window.finish(partition, offset: offset, outcome: outcome)
          case .tick:
            mustWrite = window.finished > 0
            tickIsDue = true
          case nil: break
          }
        }
        if mustWrite || window.finished >= stage.transactionRecords { try await write(progress: progress) }
      }
    }
  }

  /// Whether there is nothing left to label: of a relabelling in its range, else in the log.
  private var isIdle: Bool {
    get async throws {
      guard let range else {
        return try await LabelStage.isIdle(log: stage.log, names: stage.names)
      }
      // Others may read a part of it: only the group knows of all.
      return range.isPassed(by: try await stage.log.committedOffsets(group: stage.names.labelGroup))
    }
  }

  /// Reads as many requests as there is room for and starts on them.
  private mutating func read(into tasks: inout ThrowingTaskGroup<Event, any Error>) async throws {
    let before = await reader.ownership
    keepOnly(before)
    let room = stage.window - window.waiting - window.finished
    guard room > 0, window.bytes < Self.windowBytes else { return }
    let timeout: Duration = window.isEmpty ? .milliseconds(250) : .zero
    let records = try await reader.next(maximum: room, timeout: timeout)
    if records.isEmpty { return }
    let owned = await reader.ownership
    try await index(owned)
    var requests: [OpenRequest] = []
    try await forgetErased()
    var isUpToDate = false
    for record in records where range?.holds(record) ?? (record.offset >= accounted[record.topicPartition] ?? 0) {
      let partition = record.topicPartition
      guard let number = owned[partition], before[partition] ?? number == number else {
        throw MessageLogError(
          .fenced, "the partition changed hands while it was read", topic: partition.topic,
          partition: partition.partition, advice: "read on from what the group has committed", isRetriable: true)
      }
      window.add(record, owned: number)
      switch try await reading(of: record, &isUpToDate) {
      case .decided(let outcome), .duplicate(let outcome):
        window.finish(partition, offset: record.offset, outcome: outcome)
      case .request(let request):
        requests.append(OpenRequest(record: record, request: request, isFree: stage.teacher.isFree(request)))
      }
    }
    try await start(on: requests, owned: owned, &tasks)
  }

  /// What must be done about a request. The sample of an earlier one was perhaps erased meanwhile: then that has no word in it.
  private mutating func reading(of record: Record, _ isUpToDate: inout Bool) async throws -> RequestReading {
    let reading = RequestReading.read(record, duplicates: memory.duplicates, trusted: stage.trustedProducers)
    guard case .duplicate = reading, !isUpToDate else { return reading }
    try await memory.updateSamples(log: stage.log, names: stage.names)
    isUpToDate = true
    return RequestReading.read(record, duplicates: memory.duplicates, trusted: stage.trustedProducers)
  }

  /// Forgets what is under way in partitions that others have, or had meanwhile: whoever reads those requests decides on
  /// them anew.
  private mutating func keepOnly(_ owned: [TopicPartition: Int64]) {
    window.keepOnly(owned)
    // How far others get there is their lag.
    committed = committed.filter { owned[$0.key] != nil }
    memory.settle(asked.keepOnly(owned), isLabelled: false)
  }

  /// Learns what has been erased of a relabelling's range.
  private mutating func forgetErased() async throws {
    let log = stage.log
    try await range?.update(log: log)
  }

  /// Decides which requests are labelled, and starts on those.
  private mutating func start(
    on requests: [OpenRequest], owned: [TopicPartition: Int64], _ tasks: inout ThrowingTaskGroup<Event, any Error>
  ) async throws {
    let stage = stage
    let decisions = try await decisions(on: requests)
    for (index, open) in requests.enumerated() {
      let (partition, offset) = (open.record.topicPartition, open.record.offset)
      switch decisions?[index] ?? .label(ChosenRequest()) {
      case .skip(let reason):
        window.finish(partition, offset: offset, outcome: .skipped(reason: reason))
      case .label(let chosen):
        if !open.isFree { asked.add(open, payer: chosen.payer, owned: owned[partition]) }
        tasks.addTask {
          let label = try await stage.teacher.label(open.request, at: "\(partition) at offset \(offset)")
          return .outcome(
            partition, offset, LabelledRequest(open.request, label, chosen: chosen, source: open.record, stage: stage))
        }
      }
    }
  }

  /// What the policy says of requests; nil without one.
  private mutating func decisions(on requests: [OpenRequest]) async throws -> [LabelDecision]? {
    guard let chooser else { return nil }
    let owned = await reader.ownership.keys.map(\.partition).sorted()
    let topic = try await stage.log.topics().first { $0.name == stage.names.requests }
    return try await chooser.decide(
      on: requests, asked: asked.byDay, owned: owned,
      partitions: max(topic?.topicPartitions.count ?? 1, (owned.last ?? 0) + 1), &memory)
  }

  /// Who had a partition before has perhaps written samples since they were read.
  private mutating func index(_ owned: [TopicPartition: Int64]) async throws {
    guard owned.contains(where: { indexed[$0.key] != $0.value }) else { return }
    let group = try await stage.log.committedOffsets(group: stage.names.labelGroup)
    committed = Dictionary(uniqueKeysWithValues: owned.keys.map { ($0, group[$0] ?? 0) })
    try await memory.updateSamples(log: stage.log, names: stage.names)
    indexed = owned
  }

  /// Where nothing is under way, the group's position passes what is not there (marks of transactions, what was removed),
  /// so that a position at the end means that all is done.
  private mutating func commitHoles() async throws {
    var positions = await reader.positions
    if let range {
      // What a longer range under this name has passed stays so.
      let group = try await stage.log.committedOffsets(group: stage.names.labelGroup)
      positions = range.bounded(positions).filter { group[$0.key] ?? 0 < $0.value }
    }
    // One before what has outcomes would have those labelled again.
    positions = positions.filter { committed[$0.key] != $0.value && accounted[$0.key] ?? 0 <= $0.value }
    if positions.isEmpty { return }
    try await reader.commit(positions)
    committed.merge(positions) { $1 }
  }

  /// The outcome in the light of everything before it: a request that was sent twice was perhaps labelled twice at once, and one
  /// of a relabelling was perhaps erased meanwhile. (Of others that wait a deletion request says so.)
  ///
  /// If the transaction fails the session ends, and the next one knows nothing of it: ``LabelMemory/forgetUnwritten()``.
  private mutating func settle(
    _ item: LabelWindow<LabelledRequest>.Finished
  ) -> LabelWindow<LabelledRequest>.Finished {
    if range?.isErased(item.record) ?? false {
      return .init(record: item.record, outcome: .skipped(reason: "erased"))
    }
    guard case .sampled(let request, _, _) = item.outcome else { return item }
    if let decided = RequestReading.duplicate(request, memory.duplicates, trusted: stage.trustedProducers) {
      return .init(record: item.record, outcome: decided)
    }
    memory.duplicates.learn(item.outcome)
    return item
  }

  private func relabels(_ item: LabelWindow<LabelledRequest>.Finished) -> Bool {
    guard case .sampled(let request, _, _) = item.outcome else { return false }
    return memory.duplicates.relation(of: request, trusted: stage.trustedProducers) == .relabelled
  }

  /// What was written is what others are like from now on.
  private mutating func settle(_ written: [LabelWindow<LabelledRequest>.Finished]) {
    memory.duplicates.keepWritten()
    for item in written {
      if let messages = asked.remove(item.record) { memory.settle([messages], isLabelled: item.outcome.isSampled) }
    }
  }

  /// Writes the contiguous finished prefix of every partition, in transactions.
  private mutating func write(progress: @Sendable (LabelProgress) -> Void) async throws {
    while true {
      // In this order: what is still owned after the membership was taken was owned under it.
      let membership = try await reader.membership
      let owned = await reader.ownership
      keepOnly(owned)
      try await forgetErased()
      let ready = window.ready(
        limit: stage.transactionRecords, bytes: Self.transactionBytes, size: LabelTransaction.byteCount(of:))
      // What has another answer than its sample was perhaps corrected meanwhile.
      if ready.contains(where: { relabels($0) }) {
        try await memory.updateSamples(log: stage.log, names: stage.names)
      }
      let batch = ready.map { settle($0) }
      guard !batch.isEmpty else { return }
      let transaction = LabelTransaction(
        batch: batch, asked: asked.count(of: batch.map(\.record)), functions: functions.unwritten, stage: stage)
      _ = try await writer.commit(
        append: transaction.records, offsets: GroupOffsets(membership: membership, offsets: transaction.offsets))
      functions.haveBeenWritten()
      committed.merge(transaction.offsets) { $1 }
      window.remove(batch)
      settle(batch)
      memory.done.add(transaction.progress)
      progress(memory.done)
      StageMetrics.labelled(transaction.progress)
    }
  }
}
