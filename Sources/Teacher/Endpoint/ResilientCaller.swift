/// How one attempt at an endpoint ended.
package enum Attempt<Value: Sendable>: Sendable {
  /// An answer, with what it cost.
  case success(Value, tokens: Int, money: Double)
  /// The endpoint is up and this record is at fault.
  case rejected(Rejection)
  /// The endpoint may be down. `blamable`: the record itself may be the cause (5xx, a time-out or a lost connection,
  /// as against an endpoint that is busy).
  case outage(TeacherState.PauseReason, message: String, retryAfter: Duration?, blamable: Bool)
  /// The endpoint refuses this request; whether it would refuse every other too is to be found out. `isUsual`: such a
  /// status mostly means all of them (a wrong key or path).
  case refused(Rejection, isUsual: Bool)

  func map<Other: Sendable>(_ transform: (Value) -> Other) -> Attempt<Other> {
    switch self {
    case .success(let value, let tokens, let money): .success(transform(value), tokens: tokens, money: money)
    case .rejected(let rejection): .rejected(rejection)
    case .outage(let reason, let message, let retryAfter, let blamable):
      .outage(reason, message: message, retryAfter: retryAfter, blamable: blamable)
    case .refused(let rejection, let isUsual): .refused(rejection, isUsual: isUsual)
    }
  }
}

/// Calls an endpoint through its gate until there is an answer, or a reason that lies in the record.
///
/// An outage never ends the loop: it waits, and so does one who is refused by an endpoint that refuses everybody. A record
/// that fails while the endpoint answers others does, and a canary, a harmless request, finds that out: it must be
/// answered twice, with a failure of the record between (once may only mean that an outage has just ended), after the
/// policy's `attempts` failures, or from the first refusal on. Where failures mostly have another reason (a wrong key or
/// path, a busy endpoint) it must be answered `attempts` times one after the other. Where a busy endpoint answers others
/// that it had told to wait, waiting helps, and what speaks against the record is forgotten: who meets a rate limit with
/// others is not at fault. Not for ever: a request that is larger than what a limit allows at all is never answered, so
/// after ten times as many refusals they count. While no canary is known, the endpoint is thought to be down.
package struct ResilientCaller: Sendable {
  /// A harmless request to the same endpoint.
  package typealias Canary = @Sendable () async -> Attempt<Bool>

  package let gate: EndpointGate
  package let retry: RetryPolicy
  package let clock: TeacherClock

  package init(gate: EndpointGate, retry: RetryPolicy, clock: TeacherClock) {
    self.gate = gate
    self.retry = retry
    self.clock = clock
  }

  /// Runs `body` until it succeeds.
  ///
  /// - Parameters:
  ///   - failure: the code with which a record is rejected that fails alone.
  ///   - canary: the canary, where one is known by then.
  ///   - body: one attempt; gets the number of attempts before it.
  /// - Throws: `Rejection` or `CancellationError`.
  package func run<Value: Sendable>(
    failure: RejectionCode, canary: @Sendable () -> Canary?, body: @Sendable (Int) async -> Attempt<Value>
  ) async throws -> Value {
    var suspicions: [Blame: Suspicion] = [:]
    var attempt = 0
    while true {
      let result = try await perform { await body(attempt) }
      attempt += 1
      var wish: Duration?
      switch result {
      case .success(let value, _, _):
        if suspicions[.busy] != nil { await gate.waitingHasHelped() }
        return value
      case .rejected(let rejection): throw rejection
      case .refused(let rejection, let isUsual):
        let blame = isUsual ? Blame.usualRefusal : .refusal
        if try await isAtFault(&suspicions[blame, default: Suspicion()], blame, canary(), rejection.message) {
          throw rejection
        }
        if canary() == nil { await gate.tripped(message: rejection.message) }
      case .outage(_, let message, let retryAfter, let blamable):
        wish = retryAfter
        let blame = blamable ? Blame.failure : .busy
        if try await isAtFault(&suspicions[blame, default: Suspicion()], blame, canary(), message) {
          throw Rejection(
            code: failure, message: "\(attempt) failures of this record, the endpoint being up; the last: \(message)")
        }
      }
      let backOff = retry.delay(afterFailure: attempt - 1, uniform: clock.uniform())
      // Where everybody is told to wait longer, the breaker does. One answer holds nothing up for hours.
      try await clock.sleep(max(min(wish ?? .zero, retry.cap), backOff))
    }
  }

  /// What a record is suspected of; each for itself.
  private enum Blame: Hashable {
    case failure
    case busy
    case refusal
    case usualRefusal
  }

  /// What speaks for the record, and not the endpoint, being at fault.
  private struct Suspicion {
    var failures = 0
    /// Answers to the canary in a row.
    var canaries = 0
    /// How often waiting had helped when the suspicion began.
    var helped = 0
    /// Failures before that, which do not count.
    var forgotten = 0
  }

  private func isAtFault(
    _ suspicion: inout Suspicion, _ blame: Blame, _ canary: Canary?, _ message: String
  ) async throws -> Bool {
    let (failures, canaries) =
      switch blame {
      case .failure: (retry.attempts, 2)
      case .busy: (retry.attempts, max(2, retry.attempts))
      case .refusal: (1, 2)
      case .usualRefusal: (1, max(2, retry.attempts))
      }
    if blame == .busy {
      let helped = await gate.helpedByWaiting
      if helped != suspicion.helped, suspicion.forgotten < 10 * retry.attempts {
        suspicion = Suspicion(helped: helped, forgotten: suspicion.forgotten + suspicion.failures)
      }
    }
    suspicion.failures += 1
    guard suspicion.failures >= failures, let canary else { return false }
    // At a busy endpoint it waits in line: going first it would take what the limit leaves for those who wait.
    let isUp = try await answers(canary, goesFirst: blame != .busy)
    suspicion.canaries = isUp ? suspicion.canaries + 1 : 0
    // An endpoint that is busy for the canary, too, says nothing of the record, and is not asked again at each refusal.
    if blame == .busy, !isUp { suspicion.failures = 0 }
    if suspicion.canaries >= canaries { return true }
    // It takes long from here on. One answer may only mean that an outage has just ended.
    if suspicion.canaries == 2 { RequestInHand.current?.isRefusedAlone(by: gate.name, message: message) }
    return false
  }

  private func answers(_ canary: Canary, goesFirst: Bool) async throws -> Bool {
    switch try await perform(goesFirst: goesFirst, canary) {
    case .success, .rejected: return true
    case .refused(let rejection, _):
      await gate.tripped(message: rejection.message)
      return false
    case .outage: return false
    }
  }

  /// One attempt, between `enter` and `leave`.
  private func perform<Value: Sendable>(
    goesFirst: Bool = false, _ body: () async -> Attempt<Value>
  ) async throws -> Attempt<Value> {
    try await gate.enter(goesFirst: goesFirst)
    let result = await body()
    if Task.isCancelled {
      await gate.leave(.abandoned)
      throw CancellationError()
    }
    switch result {
    case .success(_, let tokens, let money): await gate.leave(.answered(tokens: tokens, money: money))
    case .rejected: await gate.leave(.answered(tokens: 0, money: 0))
    case .refused(let rejection, _): await gate.leave(.refused(message: rejection.message))
    case .outage(let reason, let message, let retryAfter, _):
      await gate.leave(.failed(reason, message: message, retryAfter: retryAfter))
    }
    return result
  }
}
