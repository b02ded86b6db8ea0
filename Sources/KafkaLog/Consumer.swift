import CRdKafka
import Logging
import MessageLog

/// A reader of a group, or of given partitions without one: the owner of a consumer's handle, on the handle's thread.
///
/// The thread answers the group all the time, so that slow processing costs no membership. The position of a partition is
/// known from the first answer of the log on.
actor Consumer: GroupReader {
  let thread: HandleThread
  let handle: ConsumerHandle
  let options: ReaderOptions
  /// The group, nil for a reader without one.
  let group: String?
  let logger: Logger
  private let onClose: @Sendable () -> Void
  var state = ReaderState()
  private var requests: [Request] = []
  private var nextRequest: UInt64 = 0
  var joinWaiters: [JoinWaiter] = []
  /// Partitions whose position was lost, and the offset at which that happened.
  var lost: [TopicPartition: Int64] = [:]
  /// Partitions of which the group's position could not be asked: librdkafka leaves them unread until they are taken anew.
  var unplaced: Set<TopicPartition> = []
  var retryLostAt: ContinuousClock.Instant?
  var failure: MessageLogError?
  var isClosed = false

  nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

  /// A caller of `next` that waits.
  private struct Request {
    let id: UInt64
    let maximum: Int
    let deadline: ContinuousClock.Instant
    let continuation: CheckedContinuation<[Record], any Error>
  }

  /// A caller who waits until the group has been joined.
  struct JoinWaiter {
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

  func check() throws(MessageLogError) {
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
    for change in handle.context.takeRebalances() { apply(change) }
    findLost()
    handle.routeUnheard()
    serveRequests()
    serveJoinWaiters()
    let isWaiting = !joinWaiters.isEmpty || handle.hasUnheard
    let soon = ContinuousClock.now + (isWaiting ? .milliseconds(20) : .milliseconds(500))
    return ([soon, retryLostAt] + requests.map(\.deadline)).compactMap { $0 }.min()
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
}
