public import Logging
import Synchronization
public import Topics

/// Labels requests: by asking a model that calls functions, or by checking an answer that is already there.
///
/// Delivery: the endpoint is called at least once for each request that is not in the cache. Ordering: none;
/// `label` may be called for many requests at once and answers in any order. Back-pressure: at most
/// `maximumConcurrentRequests` calls are in flight, the others wait. Cancellation: cancelling the calling task
/// ends its HTTP call, lookup, or wait at once. Secrets: the key is masked in every message.
///
/// Deliberately not here: streaming answers, choosing which requests to label, and writing to a log.
public final class Teacher: Sendable {
  /// The task as it was given.
  public let task: TaskDefinition
  /// The configuration as it was given.
  public let configuration: TeacherConfiguration
  /// Digest of instructions and tools.
  public let promptDigest: Digest

  private let transport: HTTPTransport
  /// The teacher's own gate, then those of lookups and of the verifier, save queries and functions of this process.
  private let gates: [EndpointGate]
  private let asker: Asker?
  private let checker: AnswerChecker
  private let counters: TeacherCounters
  private let cache: ForgivingCache?
  private let logger: Logger
  private let sayingThatNobodyIsAsked = Once()
  private let strangers = Mutex<Set<String>>([])

  /// Checks the whole configuration and opens what it names; nothing is sent.
  ///
  /// - Parameters:
  ///   - clock: time and chance; the machine's by default.
  ///   - logger: where pauses, cache failures, missing log-probabilities and requests that are refused alone are reported once
  ///     each.
  /// - Throws: `TeacherError`.
  public init(
    task: TaskDefinition, configuration: TeacherConfiguration, clock: TeacherClock = .system,
    logger: Logger = Logger(label: "retort.teacher")
  ) throws(TeacherError) {
    try task.validate()
    try configuration.validate()
    let setup = Setup(task: task, configuration: configuration, clock: clock, logger: logger)
    let lookups = try setup.lookups(task)
    let verifier = try setup.verifier(task)
    let checker = AnswerChecker(task: task, verifier: verifier, counters: setup.counters)
    let cache = try setup.cache()
    let gate = try setup.gate(cache)
    let forgiving = cache.map {
      ForgivingCache(
        $0, lifetime: configuration.cacheLifetime, counters: setup.counters, logger: logger, clock: clock)
    }
    self.task = task
    self.logger = logger
    self.configuration = configuration
    promptDigest = task.promptDigest
    transport = setup.transport
    gates = [gate] + lookups.values.compactMap(\.gate) + [verifier?.gate].compactMap { $0 }
    self.checker = checker
    counters = setup.counters
    self.cache = forgiving
    guard let client = try setup.client(gate, forgiving) else {
      asker = nil
      return
    }
    let loop = ToolLoop(
      client: client, task: task, lookups: lookups, checker: checker, configuration: configuration,
      counters: setup.counters,
      logprobs: LogprobReader(configuration, counters: setup.counters, logger: logger))
    asker = Asker(
      loop: loop, task: task, producer: configuration.producer ?? configuration.model, promptDigest: promptDigest,
      checker: checker, cache: forgiving)
  }

  /// Counters since the start.
  public var metrics: TeacherMetrics { counters.current }

  /// Whether labelling runs; the teacher's own pause before that of a lookup or the verifier.
  public var state: TeacherState {
    get async {
      for gate in gates {
        let state = await gate.state
        if state != .running { return state }
      }
      return .running
    }
  }

  /// Who the samples say produced a label of this teacher.
  public var producer: String { configuration.producer ?? configuration.model }

  /// Finds a label for one request.
  ///
  /// A recorded answer of a trusted producer is checked and costs no call; a recorded answer of anybody else is no
  /// label, and neither is the call of a lookup function: the teacher is asked. While the endpoint is away, or the
  /// budget is spent, this waits.
  ///
  /// - Parameter place: where the request stands in the log, for messages about it.
  /// - Throws: `CancellationError` when the task is cancelled or the teacher is shut down; nothing is decided then.
  public func label(
    _ request: RequestRecord, at place: String? = nil
  ) async throws(CancellationError) -> LabelOutcome {
    let calls = CallCounter()
    do {
      let inHand = RequestInHand(id: request.id, place: place, logger: logger)
      let outcome = try await RequestInHand.$current.withValue(inHand) {
        try await self.outcome(for: request, calls)
      }
      count(outcome)
      return outcome
    } catch var rejection as Rejection {
      rejection.attempts = calls.value
      count(.rejected(rejection))
      return .rejected(rejection)
    } catch {
      // What is neither a rejection nor an outcome is a cancellation.
      throw CancellationError()
    }
  }

  /// Whether labelling a request costs nothing: nobody can be asked, or a trusted producer has answered it.
  public func isFree(_ request: RequestRecord) -> Bool {
    guard asker != nil else { return true }
    guard let response = request.response, task.trustedProducers.contains(response.producer) else { return false }
    // An answer that cannot be read makes a dead letter, and nobody is asked about it either.
    do { return try recordedCall(response) != nil } catch { return true }
  }

  /// Checks a call as a label, without asking the teacher: shape, grounding, verifier.
  ///
  /// - Returns: `accepted` with the given producer, or `rejected`.
  /// - Throws: `CancellationError`.
  public func check(
    _ call: Call, for request: RequestRecord, producer: String
  ) async throws(CancellationError) -> LabelOutcome {
    do {
      let verdicts = try await checker.check(call, for: request)
      return .accepted(
        AcceptedLabel(
          call: call, producer: producer, promptDigest: nil, votes: Votes(agree: 1, of: 1), verdicts: verdicts,
          usage: .none, cost: 0, attempts: 0, trace: [], topLogprobs: nil))
    } catch let rejection as Rejection {
      return .rejected(rejection)
    } catch {
      throw CancellationError()
    }
  }

  /// Ends every wait for an endpoint with a cancellation and closes connections and files. A back-off, a program or a query
  /// that is under way ends first: cancel the tasks that label to end them at once.
  public func shutdown() async {
    for gate in gates { await gate.close() }
    await transport.shutdown()
    cache?.close()
  }
}

// MARK: One request

extension Teacher {
  private func outcome(for request: RequestRecord, _ calls: CallCounter) async throws -> LabelOutcome {
    let size = request.messages.reduce(0) { sum, message in
      sum + message.content.utf8.count + message.toolCalls.reduce(0) { $0 + $1.arguments.utf8.count }
    }
    guard size <= configuration.maximumRequestBytes else {
      throw Rejection(
        code: .requestTooLarge,
        message: "expected messages of at most \(configuration.maximumRequestBytes) bytes, found \(size)")
    }
    if let response = request.response, task.trustedProducers.contains(response.producer),
      let call = try recordedCall(response)
    {
      counters.update { $0.recordedAnswers += 1 }
      return try await check(call, for: request, producer: response.producer)
    }
    if let producer = request.response?.producer { noteStranger(producer, request.id) }
    guard let asker else {
      if sayingThatNobodyIsAsked.isFirst() {
        logger.warning(
          "label: no teacher is configured, so that requests without a trusted answer are skipped, and stay skipped; set teacher.endpoint"
        )
      }
      return .skipped(reason: "no teacher configured and no trusted answer")
    }
    return .accepted(try await asker.ask(request, calls))
  }

  /// Says once that a producer's recorded answers are no labels: whoever imports an LLM's traffic has to name it.
  private func noteStranger(_ producer: String, _ id: String) {
    guard !producer.hasPrefix("retort/"), !task.trustedProducers.contains(producer) else { return }
    let isNew = strangers.withLock { $0.count < Self.maximumStrangers && $0.insert(producer).inserted }
    guard isNew else { return }
    logger.warning(
      "label: recorded answers of a producer that task.trusted_producers does not name are no labels; add it there if its calls are right",
      metadata: ["producer": "\(producer.prefix(200))", "request": "\(id)"])
  }

  private static let maximumStrangers = 20

  /// The recorded call, or nil when it is the call of a lookup function.
  private func recordedCall(_ response: RequestResponse) throws -> Call? {
    let call: Call?
    do { call = try response.answeredCall() } catch {
      throw Rejection(
        code: .malformedAnswer, message: "the recorded answer: \(error)", rawAnswer: response.json.text)
    }
    guard let call else {
      throw Rejection(
        code: .noCall, message: "expected one call in the recorded answer, found none or several",
        rawAnswer: response.json.text)
    }
    return task.lookups.contains { $0.definition.name == call.name } ? nil : call
  }

  private func count(_ outcome: LabelOutcome) {
    counters.update {
      switch outcome {
      case .accepted: $0.accepted += 1
      case .rejected(let rejection): $0.rejected[rejection.code, default: 0] += 1
      case .skipped: $0.skipped += 1
      }
    }
  }
}
