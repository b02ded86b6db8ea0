internal import Logging
internal import Topics

/// Makes the parts of a teacher from its configuration.
struct Setup: Sendable {
  let configuration: TeacherConfiguration
  let clock: TeacherClock
  let logger: Logger
  let counters = TeacherCounters()
  let transport: HTTPTransport

  init(task: TaskDefinition, configuration: TeacherConfiguration, clock: TeacherClock, logger: Logger) {
    self.configuration = configuration
    self.clock = clock
    self.logger = logger
    transport = HTTPTransport(maximumConnections: configuration.connections(for: task))
  }

  func lookups(_ task: TaskDefinition) throws(TeacherError) -> [String: LookupRunner] {
    var lookups: [String: LookupRunner] = [:]
    for lookup in task.lookups {
      lookups[lookup.definition.name] = try LookupRunner(
        lookup, transport: transport, configuration: configuration, clock: clock, logger: logger)
    }
    return lookups
  }

  func verifier(_ task: TaskDefinition) throws(TeacherError) -> VerifierRunner? {
    guard let verifier = task.verifier else { return nil }
    return try VerifierRunner(
      verifier, transport: transport, configuration: configuration, clock: clock, logger: logger)
  }

  func cache() throws(TeacherError) -> AnswerCache? {
    guard configuration.endpoint != nil, let path = configuration.cachePath else { return nil }
    return try AnswerCache(path: path)
  }

  /// The teacher's gate; what an earlier process spent within this hour counts in its budget.
  func gate(_ cache: AnswerCache?) throws(TeacherError) -> EndpointGate {
    EndpointGate(
      name: "teacher", maximumConcurrent: configuration.maximumConcurrentRequests, breaker: configuration.breaker,
      budget: configuration.budget, clock: clock, logger: logger, earlier: try earlierSpending(cache))
  }

  func client(_ gate: EndpointGate, _ cache: ForgivingCache?) throws(TeacherError) -> ChatClient? {
    guard let endpoint = configuration.endpoint else { return nil }
    return try ChatClient(
      endpoint: endpoint, configuration: configuration, transport: transport,
      caller: ResilientCaller(gate: gate, retry: configuration.retry, clock: clock), counters: counters,
      cache: cache)
  }

  private func earlierSpending(_ cache: AnswerCache?) throws(TeacherError) -> [EndpointGate.EarlierSpending] {
    guard configuration.budget != nil, let cache, let path = configuration.cachePath else { return [] }
    let now = clock.wallMilliseconds()
    do {
      return try cache.spending(since: now - 3_600_000).map {
        EndpointGate.EarlierSpending(tokens: $0.tokens, money: $0.cost, ago: .milliseconds(max(0, now - $0.at)))
      }
    } catch {
      throw TeacherError(
        .cacheUnusable, subject: path, expected: "a readable cache", found: String(describing: error))
    }
  }
}
