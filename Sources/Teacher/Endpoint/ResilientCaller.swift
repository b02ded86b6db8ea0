/// How one attempt at an endpoint ended.
package enum Attempt<Value: Sendable>: Sendable {
  /// An answer, with what it cost.
  case success(Value, tokens: Int, money: Double)
  /// The endpoint is up and this record is at fault.
  case rejected(Rejection)
  /// The endpoint may be down. `blamable`: the record itself may be the cause (5xx or a time-out, as against
  /// 429 or no connection).
  case outage(TeacherState.PauseReason, message: String, retryAfter: Duration?, blamable: Bool)
  /// The endpoint refuses every request.
  case misconfigured(message: String)
  /// The endpoint refuses this request; whether it would refuse every other too is to be found out.
  case refused(Rejection)
}

/// Calls an endpoint through its gate until there is an answer, or a reason that lies in the record.
///
/// An outage never ends the loop: it waits. A record that fails while the endpoint answers others does. Where there
/// is a canary, a harmless request, it finds that out: after the policy's `attempts` failures it must succeed
/// twice, with a failure of the record between (once may only mean that an outage has just ended). Where there is
/// none, the record is at fault after `attempts` failures with answers to others between them, or after four times as many
/// without any.
package struct ResilientCaller: Sendable {
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
  ///   - canary: a harmless request to the same endpoint; nil where there is none.
  ///   - body: one attempt; gets the number of attempts before it.
  /// - Throws: `Rejection` or `CancellationError`.
  package func run<Value: Sendable>(
    failure: RejectionCode, canary: (@Sendable () async -> Attempt<Bool>)?,
    body: @Sendable (Int) async -> Attempt<Value>
  ) async throws -> Value {
    var suspicion = Suspicion()
    var attempt = 0
    while true {
      let result = try await perform { await body(attempt) }
      attempt += 1
      var wish: Duration?
      switch result {
      case .success(let value, _, _): return value
      case .rejected(let rejection): throw rejection
      case .refused(let rejection):
        // Before the endpoint has answered anybody, "bad request" may mean a parameter that it does not know.
        guard let canary, await gate.answers == 0 else { throw rejection }
        _ = try await answers(canary)
      case .misconfigured: suspicion = Suspicion()
      case .outage(_, let message, let retryAfter, let blamable):
        wish = retryAfter
        if blamable, try await isAtFault(&suspicion, canary) {
          throw Rejection(
            code: failure,
            message: "\(suspicion.failures) failures of this record, the endpoint being up; the last: \(message)")
        }
      }
      let backOff = retry.delay(afterFailure: attempt - 1, uniform: clock.uniform())
      try await clock.sleep(max(wish ?? .zero, backOff))
    }
  }

  /// What speaks for the record, and not the endpoint, being at fault.
  private struct Suspicion {
    var failures = 0
    /// Failures since whose predecessor others were answered.
    var isolated = 0
    var answersBefore = Int.max
    /// Successes of the canary in a row.
    var canaries = 0
  }

  private func isAtFault(
    _ suspicion: inout Suspicion, _ canary: (@Sendable () async -> Attempt<Bool>)?
  ) async throws -> Bool {
    let answersNow = await gate.answers
    suspicion.failures += 1
    suspicion.isolated += answersNow > suspicion.answersBefore ? 1 : 0
    suspicion.answersBefore = answersNow
    guard suspicion.failures >= retry.attempts else { return false }
    guard let canary else {
      return suspicion.isolated >= max(1, retry.attempts - 1) || suspicion.failures >= 4 * retry.attempts
    }
    suspicion.canaries = try await answers(canary) ? suspicion.canaries + 1 : 0
    return suspicion.canaries >= 2
  }

  private func answers(_ canary: @Sendable () async -> Attempt<Bool>) async throws -> Bool {
    switch try await perform(canary) {
    case .success: return true
    case .refused(let rejection):
      await gate.tripped(message: rejection.message)
      return false
    default: return false
    }
  }

  /// One attempt, between `enter` and `leave`.
  private func perform<Value: Sendable>(_ body: () async -> Attempt<Value>) async throws -> Attempt<Value> {
    try await gate.enter()
    let result = await body()
    if Task.isCancelled {
      await gate.leave(.abandoned)
      throw CancellationError()
    }
    switch result {
    case .success(_, let tokens, let money): await gate.leave(.answered(tokens: tokens, money: money))
    case .rejected: await gate.leave(.answered(tokens: 0, money: 0))
    case .refused:
      // A refusal tells that the endpoint is up only where it has answered somebody.
      await gate.leave(gate.answers > 0 ? .answered(tokens: 0, money: 0) : .abandoned)
    case .outage(let reason, let message, let retryAfter, _):
      await gate.leave(.failed(reason, message: message, retryAfter: retryAfter))
    case .misconfigured(let message): await gate.leave(.misconfigured(message: message))
    }
    return result
  }
}
