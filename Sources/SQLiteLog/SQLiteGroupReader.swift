import Foundation
import MessageLog

/// A member of a consumer group.
///
/// A background task renews the lease, so that slow processing costs no membership; `next` looks at the group's
/// generation whenever it fetches, so that a rebalance is seen as soon as it happens.
actor SQLiteGroupReader: GroupReader {
  private let store: Store
  private let group: String
  private let topics: [String]
  private let options: ReaderOptions
  private let onClose: @Sendable () -> Void
  private var queue: PartitionQueue
  private let memberID = UUID().uuidString.lowercased()
  private var generation: Int64 = 0
  /// Under which epoch each partition is owned.
  private var epochs: [TopicPartition: Int64] = [:]
  /// Partitions that go to others: nothing more is delivered from them, and the next heartbeat lets them go.
  private var leaving: Set<TopicPartition> = []
  private var nextDeadline: Int64?
  private var isClosed = false
  private var running: Task<Void, any Error>?
  private var pulse: Task<Void, Never>?

  init(
    store: Store, group: String, topics: [String], options: ReaderOptions, onClose: @escaping @Sendable () -> Void
  ) {
    self.store = store
    self.group = group
    self.topics = topics
    self.options = options
    self.onClose = onClose
    queue = PartitionQueue(options: options)
  }

  /// Joins, and begins to renew the lease.
  func start() async throws {
    try await synchronise()
    pulse = Task { [weak self] in
      while !Task.isCancelled {
        guard let pause = await self?.untilHeartbeat() else { return }
        do { try await Task.sleep(for: pause) } catch { return }
        // An error here means the file is busy or gone; `next` meets it, too, and reports it.
        try? await self?.synchronise()
      }
    }
  }

  func next(maximum: Int, timeout: Duration) async throws -> [Record] {
    try LogChecks.maximum(maximum)
    let deadline = ContinuousClock.now + timeout
    while true {
      try Task.checkCancellation()
      try check()
      let version = store.signal.version
      var records = try queue.drain(maximum)
      if !records.isEmpty { return records }
      let plan = queue.plan()
      let group = group
      let (found, current) = try await store.read { db in
        (try plan.fetch(db), try GroupTable.generation(db, group: group))
      }
      if current != generation {
        try await synchronise()
        continue
      }
      queue.accept(found)
      records = try queue.drain(maximum)
      if !records.isEmpty { return records }
      let left = deadline - ContinuousClock.now
      if left <= .zero { return [] }
      await store.signal.wait(after: version, for: left)
    }
  }

  func seek(_ partition: TopicPartition, to position: StartPosition) async throws {
    try check()
    guard let id = queue.id(of: partition) else { throw MessageLogError.notAssigned(partition) }
    let onLostRange = queue.onLostRange
    let offset = try await store.read { try PartitionRows.resolve($0, partition, id: id, position, onLostRange) }
    queue.seek(partition, to: offset)
  }

  var positions: [TopicPartition: Int64] { queue.positions }

  var ownership: [TopicPartition: Int64] { epochs.filter { queue.contains($0.key) } }

  var membership: GroupMembership {
    get throws {
      try check()
      return GroupMembership(group: group, memberID: memberID, generation: generation)
    }
  }

  func commit(_ offsets: [TopicPartition: Int64]) async throws {
    let commit = GroupOffsets(membership: try membership, offsets: offsets)
    try await store.write { try GroupTable.commit($0, commit) }
  }

  func close() async {
    if isClosed { return }
    stop()
    _ = try? await running?.value
    let (group, memberID) = (group, memberID)
    // In a task of its own: who closes because it was cancelled leaves all the same. If the file cannot be written now,
    // the lease lapses by itself.
    let leaving = Task { [store] in
      try await store.writeAndAnnounce { try GroupTable.leave($0, group: group, memberID: memberID) }
    }
    _ = try? await leaving.value
    onClose()
  }

  /// Stops without leaving the group, as a process that dies does.
  func abandon() {
    stop()
    onClose()
  }

  private func stop() {
    isClosed = true
    pulse?.cancel()
    queue = PartitionQueue(options: options)
    store.signal.fire()
  }

  private func check() throws(MessageLogError) {
    try store.check()
    if isClosed { throw .closed("reader") }
  }

  /// A third of the lease, or sooner when another member's lease is about to lapse.
  private func untilHeartbeat() -> Duration? {
    if isClosed { return nil }
    let regular = max(20, options.sessionTimeout.milliseconds / 3)
    guard let nextDeadline else { return .milliseconds(regular) }
    let lapse = nextDeadline - SystemTime.bootMilliseconds() + 5
    return .milliseconds(min(regular, max(20, lapse)))
  }

  /// One heartbeat at a time; who comes while one is under way waits for it.
  private func synchronise() async throws {
    if let running { return try await running.value }
    // It ends itself, before who waits for it resumes: who comes in between needs a heartbeat of its own.
    let task = Task {
      defer { self.running = nil }
      try await self.beat()
    }
    running = task
    try await task.value
  }

  /// Renews the lease; where that finds partitions that go to others, once more at once, to let them go.
  private func beat() async throws {
    let member = GroupTable.Member(
      group: group, id: memberID, topics: topics, timeout: options.sessionTimeout.milliseconds,
      initial: options.startWhenNoCommit)
    repeat {
      if isClosed { return }
      let releasing = leaving
      let outcome = try await store.write { try GroupTable.heartbeat($0, member, releasing: releasing) }
      if outcome.hasChanged {
        try await store.writeAndAnnounce { _ in }
      }
      if !isClosed { apply(outcome) }
    } while !leaving.isEmpty
  }

  private func apply(_ outcome: GroupTable.Outcome) {
    generation = outcome.generation
    nextDeadline = outcome.nextDeadline
    let owned = Set(outcome.owned.map(\.place))
    for place in epochs.keys where !owned.contains(place) {
      queue.remove(place)
      epochs[place] = nil
    }
    for item in outcome.owned where epochs[item.place] != item.epoch {
      queue.add(item.place, id: item.id, at: item.start)
      epochs[item.place] = item.epoch
    }
    leaving = outcome.excess
    for place in leaving { queue.remove(place) }
  }
}
