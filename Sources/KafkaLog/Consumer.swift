import CRdKafka
import Logging
import MessageLog

/// A reader of a group, or of given partitions without one: the owner of a consumer's handle, on the handle's thread.
///
/// The thread answers the group all the time, so that slow processing costs no membership. The position of a partition is
/// known from the first answer of the log on.
actor Consumer: GroupReader {
  private let thread: HandleThread
  private let handle: ConsumerHandle
  let options: ReaderOptions
  /// The group, nil for a reader without one.
  private let group: String?
  private let logger: Logger
  private let onClose: @Sendable () -> Void
  private var state = ReaderState()
  private var rebalance = RebalanceFlow()
  private var requests: [Request] = []
  private var nextRequest: UInt64 = 0
  private var joinWaiters: [JoinWaiter] = []
  /// Partitions whose position was lost, and the offset at which that happened.
  private var lost: [TopicPartition: Int64] = [:]
  /// Partitions of which the group's position could not be asked: librdkafka leaves them unread until they are taken anew.
  private var unplaced: Set<TopicPartition> = []
  private var retryLostAt: ContinuousClock.Instant?
  private var failure: MessageLogError?
  private var isClosed = false

  nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

  /// A caller of `next` that waits.
  private struct Request {
    let id: UInt64
    let maximum: Int
    let deadline: ContinuousClock.Instant
    let continuation: CheckedContinuation<[Record], any Error>
  }

  /// A caller who waits until the group has been joined.
  private struct JoinWaiter {
    let deadline: ContinuousClock.Instant
    let continuation: CheckedContinuation<GroupMembership, any Error>
  }

  /// A consumer that reads nothing yet.
  init(
    group: String?, options: ReaderOptions, servers: String, properties: [String: String], logger: Logger,
    onClose: @escaping @Sendable () -> Void
  ) throws(MessageLogError) {
    self.group = group
    self.options = options
    self.logger = logger
    self.onClose = onClose
    thread = HandleThread("kafka-reader")
    let role: ClientProperties.Role = group.map { .member(group: $0, options) } ?? .reading(options)
    do {
      handle = try ConsumerHandle(
        properties: ClientProperties(role, servers: servers, properties: properties), options: options, logger: logger,
        thread: thread)
    } catch {
      thread.stop()
      throw error
    }
    thread.setPump { [weak self] in self?.assumeIsolated { $0.serve() } }
  }

  deinit { thread.stop() }

  // MARK: - Beginning

  /// Joins the group; partitions come when the group gives them.
  func subscribe(_ topics: [String]) throws { try handle.subscribe(topics) }

  /// Reads these partitions from these positions.
  func assign(_ partitions: [TopicPartition: StartPosition]) throws {
    let starts = try resolve(partitions)
    for (place, start) in starts { state.add(place, at: start) }
    try handle.assign(starts)
  }

  // MARK: - Reading

  func next(maximum: Int, timeout: Duration) async throws -> [Record] {
    try LogChecks.maximum(maximum)
    try Task.checkCancellation()
    try check()
    nextRequest += 1
    let id = nextRequest
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        if Task.isCancelled { return continuation.resume(throwing: CancellationError()) }
        requests.append(
          Request(
            id: id, maximum: min(maximum, options.maximumPrefetch), deadline: .now + timeout,
            continuation: continuation))
        serveRequests()
      }
    } onCancel: {
      Task { await self.cancel(id) }
    }
  }

  private func cancel(_ id: UInt64) {
    guard let index = requests.firstIndex(where: { $0.id == id }) else { return }
    requests.remove(at: index).continuation.resume(throwing: CancellationError())
  }

  func seek(_ place: TopicPartition, to position: StartPosition) throws {
    try check()
    guard state.contains(place) else { throw MessageLogError.notAssigned(place) }
    for (place, offset) in try resolve([place: position]) { try move(place, to: offset) }
  }

  var positions: [TopicPartition: Int64] { state.positions }

  func pause(_ places: Set<TopicPartition>) {
    let known = places.filter { state.contains($0) && !state.isPaused($0) }
    if isClosed || known.isEmpty { return }
    for place in known { state.setPaused(place, true) }
    handle.pause(known)
  }

  func resume(_ places: Set<TopicPartition>) {
    let known = places.filter { state.contains($0) && state.isPaused($0) }
    if isClosed || known.isEmpty { return }
    handle.resume(known)
    for place in known {
      state.setPaused(place, false)
      // What was fetched before the pause is gone: go on after what was delivered.
      if let position = state.position(of: place) { try? move(place, to: position) }
    }
    serveRequests()
  }

  // MARK: - The group

  /// The partitions of this reader; those whose beginning is not known yet count only where it cannot be missed.
  var ownership: [TopicPartition: Int64] {
    let isKnown = state.positions
    return state.ownership.filter { options.startWhenNoCommit == .earliest || isKnown[$0.key] != nil }
  }

  /// What this member may commit for, once it has joined.
  var membership: GroupMembership {
    get async throws {
      try check()
      if let membership = currentMembership() { return membership }
      let patience = options.sessionTimeout + .seconds(30)
      return try await withCheckedThrowingContinuation { continuation in
        joinWaiters.append(JoinWaiter(deadline: .now + patience, continuation: continuation))
        thread.wake()
      }
    }
  }

  private func currentMembership() -> GroupMembership? {
    guard let group, let (identity, token) = handle.identity() else { return nil }
    return GroupMembership(
      group: group, memberID: identity.member, generation: Int64(identity.generation), token: token)
  }

  func commit(_ offsets: [TopicPartition: Int64]) async throws {
    let deadline = ContinuousClock.now + .seconds(30)
    while true {
      try check()
      // The brokers ask only whether the member is one; that it owns what it commits is ours to see to.
      if let foreign = offsets.keys.sorted().first(where: { !state.contains($0) }) {
        throw MessageLogError(
          .fenced, "the partition belongs to another member of the group", topic: foreign.topic,
          partition: foreign.partition, advice: "read on from what the group has committed", isRetriable: true)
      }
      if offsets.isEmpty { return }
      let code = await withCheckedContinuation { continuation in
        handle.commit(offsets) { continuation.resume(returning: $0) }
      }
      if code == RD_KAFKA_RESP_ERR_NO_ERROR { return }
      let isPassing =
        code == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS || code == RD_KAFKA_RESP_ERR__WAIT_COORD
        || code == RD_KAFKA_RESP_ERR_NOT_COORDINATOR || code == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE
        || code == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS || code == RD_KAFKA_RESP_ERR__TRANSPORT
      guard isPassing, ContinuousClock.now < deadline else {
        throw KafkaFailure.error(
          code, "committing offsets of group \(group ?? "")", detail: handle.context.lastTrouble?.text)
      }
      try await Task.sleep(for: .milliseconds(50))
    }
  }

  // MARK: - Ending

  func close() { end(abruptly: false) }

  /// Stops; leaves the group unless `abruptly`, as a process that is killed does.
  func end(abruptly: Bool) {
    if isClosed { return }
    isClosed = true
    for request in requests { request.continuation.resume(throwing: MessageLogError.closed("reader")) }
    for waiter in joinWaiters { waiter.continuation.resume(throwing: MessageLogError.closed("reader")) }
    requests = []
    joinWaiters = []
    handle.close(abruptly: abruptly)
    state = ReaderState()
    onClose()
  }

  private func check() throws(MessageLogError) {
    if isClosed { throw .closed("reader") }
    if let fatal = handle.context.fatal {
      throw KafkaFailure.error(fatal.code, "the reader can go on no longer", detail: fatal.text)
    }
  }

  // MARK: - Serving the queues

  /// Looks at everything that may have happened; returns when to look again at the latest.
  private func serve() -> ContinuousClock.Instant? {
    if isClosed { return nil }
    for message in handle.serveEvents() { take(message) }
    for change in handle.context.takeRebalances() { apply(rebalance.take(change, drains: options.willRevoke != nil)) }
    apply(rebalance.tick(isLost: rebalance.isDraining && handle.assignmentIsLost))
    findLost()
    handle.routeUnheard()
    serveRequests()
    serveJoinWaiters()
    let isWaiting = !joinWaiters.isEmpty || handle.hasUnheard
    let soon = ContinuousClock.now + (isWaiting ? .milliseconds(20) : .milliseconds(500))
    return ([soon, retryLostAt, rebalance.deadline] + requests.map(\.deadline)).compactMap { $0 }.min()
  }

  private func serveRequests() {
    while let request = requests.first {
      let records = fetch(request.maximum)
      if !records.isEmpty {
        requests.removeFirst().continuation.resume(returning: records)
      } else if let error = takeFailure() {
        requests.removeFirst().continuation.resume(throwing: error)
      } else if request.deadline <= .now {
        requests.removeFirst().continuation.resume(returning: [])
      } else {
        return
      }
    }
  }

  private func takeFailure() -> MessageLogError? {
    if let failure {
      self.failure = nil
      return failure
    }
    do { try check() } catch { return error }
    return state.takeFailure()
  }

  private func fetch(_ maximum: Int) -> [Record] {
    var records: [Record] = []
    while records.isEmpty {
      let count = handle.fetch(maximum) { message in
        guard case .record(let record) = message else { return take(message) }
        if state.accept(record) {
          if records.isEmpty { records.reserveCapacity(maximum) }
          records.append(record)
        }
      }
      if count == 0 { return [] }
    }
    return records
  }

  private func take(_ message: FetchedMessage) {
    switch message {
    case .record(let record):
      logger.debug("kafka: a record of no assigned partition", metadata: ["at": "\(record.offset)"])
    case .end(let place, let offset): state.reach(place, offset)
    case .lost(let place, let offset):
      lost[place] = offset
      thread.wake()
    case .trouble(let place, let code, let text): trouble(place, code, text)
    }
  }

  private func trouble(_ place: TopicPartition?, _ code: rd_kafka_resp_err_t, _ text: String) {
    let error = KafkaFailure.error(
      code, group.map { "reading as a member of group \($0)" } ?? "reading", topic: place?.topic,
      partition: place?.partition, detail: text)
    switch error.code {
    case .unknownTopic, .readOnly, .corrupt, .invalid, .fenced:
      // A reader without a group needs nothing of the group that librdkafka makes up for it.
      if group == nil, code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED { return }
      if let place, state.contains(place) { state.fail(place, error, isStuck: false) } else { failure = error }
    default:
      logger.debug("kafka: trouble while reading", metadata: ["reason": "\(error)"])
      if group != nil { noteUnplaced(place) }
    }
  }

  /// Trouble before anything came of a partition, or, where none is named, of any: perhaps the answer to where the group stands.
  private func noteUnplaced(_ place: TopicPartition?) {
    let places = (place.map { [$0] } ?? state.places).filter { state.contains($0) && state.position(of: $0) == nil }
    if places.isEmpty { return }
    unplaced.formUnion(places)
    retryLostAt = max(retryLostAt ?? .now, .now + .milliseconds(500))
    thread.wake()
  }

  // MARK: - Rebalances

  private func apply(_ actions: [RebalanceFlow.Action]) {
    for action in actions {
      do {
        switch action {
        case .assign(let places):
          for place in places { state.add(place, at: nil) }
          try handle.assignWhereCommitted(places)
        case .drain(let places):
          state.leave(places)
          drain(places)
        case .unassign(let places):
          state.remove(places)
          for place in places { lost[place] = nil }
          unplaced.subtract(places)
          try handle.unassign(places)
        }
      } catch {
        failure = error
      }
    }
  }

  /// Lets the consumer finish its work on partitions that go to others, for at most the session time-out.
  private func drain(_ places: Set<TopicPartition>) {
    guard let willRevoke = options.willRevoke else { return }
    let turn = rebalance.startDraining(until: .now + options.sessionTimeout)
    Task { [weak self] in
      await willRevoke(places)
      await self?.drained(turn)
    }
  }

  private func drained(_ turn: Int) {
    if isClosed { return }
    apply(rebalance.drained(turn))
  }

  private func serveJoinWaiters() {
    guard !joinWaiters.isEmpty else { return }
    if let membership = currentMembership() {
      for waiter in joinWaiters { waiter.continuation.resume(returning: membership) }
      joinWaiters = []
      return
    }
    let error =
      failure
      ?? KafkaFailure.error(
        RD_KAFKA_RESP_ERR__TIMED_OUT, "joining the group \(group ?? "")", detail: handle.context.lastTrouble?.text)
    for waiter in joinWaiters where waiter.deadline <= .now || failure != nil {
      waiter.continuation.resume(throwing: error)
    }
    joinWaiters.removeAll { $0.deadline <= .now || failure != nil }
    failure = nil
  }

  // MARK: - Positions

  /// Offsets for positions; a time after the last record means the end.
  private func resolve(_ positions: [TopicPartition: StartPosition]) throws(MessageLogError) -> [TopicPartition: Int64]
  {
    var times: [TopicPartition: Int64] = [:]
    var offsets: [TopicPartition: Int64] = [:]
    for (place, position) in positions {
      switch position {
      case .earliest: times[place] = OffsetLookup.oldest
      case .latest: times[place] = OffsetLookup.end
      case .offset(let offset): offsets[place] = max(0, offset)
      case .timestamp(let time): times[place] = max(0, time)
      }
    }
    let found = try handle.offsets(times)
    let late = found.filter { $0.value < 0 }.mapValues { _ in OffsetLookup.end }
    return offsets.merging(found) { $1 }.merging(try handle.offsets(late)) { $1 }
  }

  private func move(_ place: TopicPartition, to offset: Int64) throws(MessageLogError) {
    if try !handle.seek(place, to: offset) {
      try handle.unassign([place])
      try handle.assign([place: offset])
      if state.isPaused(place) { handle.pause([place]) }
    }
    lost[place] = nil
    state.move(place, to: offset)
  }

  /// Finds a place for partitions that have lost theirs: the group's beginning, or what is left after a loss.
  private func findLost() {
    if lost.isEmpty && unplaced.isEmpty || rebalance.isDraining { return }
    if let retryLostAt, retryLostAt > .now { return }
    retryLostAt = nil
    do {
      try takeUnplacedAnew()
      for (place, offset) in lost { try find(place, at: offset) }
    } catch {
      logger.notice("kafka: cannot find where to go on", metadata: ["reason": "\(error)"])
      retryLostAt = .now + .milliseconds(500)
    }
  }

  private func takeUnplacedAnew() throws(MessageLogError) {
    let places = unplaced.filter { state.contains($0) && state.position(of: $0) == nil }
    if !places.isEmpty {
      try handle.unassign(places)
      try handle.assignWhereCommitted(places)
      handle.pause(places.filter { state.isPaused($0) })
    }
    unplaced = []
  }

  private func find(_ place: TopicPartition, at offset: Int64) throws(MessageLogError) {
    guard state.contains(place) else {
      lost[place] = nil
      return
    }
    guard let position = state.position(of: place) ?? (offset >= 0 ? offset : nil) else {
      let start: StartPosition = options.startWhenNoCommit == .earliest ? .earliest : .latest
      for (place, offset) in try resolve([place: start]) { try move(place, to: offset) }
      return
    }
    let low = try handle.offsets([place: OffsetLookup.oldest])[place] ?? 0
    let high = try handle.offsets([place: OffsetLookup.end])[place] ?? 0
    if position < low, options.onLostRange == .skip {
      logger.warning(
        "kafka: records were removed before they were read here",
        metadata: ["partition": "\(place)", "offsets": "\(position) to \(low - 1)"])
      try move(place, to: low)
    } else if position >= low, position <= high {
      try move(place, to: position)
    } else {
      lost[place] = nil
      state.fail(
        place, .outOfRange(place, offset: position, watermarks: Watermarks(low: low, high: high)), isStuck: true)
    }
  }
}
