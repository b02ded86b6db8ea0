package import Logging
import Topics

/// Guards one endpoint: how many requests are in flight, whether it is up, and whether there is money left.
///
/// ``enter()`` waits, in the order of arrival, until a request may be sent; every `enter` is followed by
/// exactly one `leave`. A pause is logged once when it starts and once when it ends.
package actor EndpointGate {
  /// How a request ended.
  package enum Ending: Sendable {
    /// The endpoint answered.
    case answered(tokens: Int, money: Double)
    /// The endpoint failed.
    case failed(TeacherState.PauseReason, message: String, retryAfter: Duration?)
    /// The endpoint refused this request, which does not tell yet whether it refuses everybody.
    case refused(message: String)
    /// Nothing was learned.
    case abandoned
  }

  /// What an earlier process spent within the hour, and how long ago.
  package struct EarlierSpending: Sendable {
    let tokens: Int
    let money: Double
    let ago: Duration
  }

  private let name: String
  private let maximumConcurrent: Int
  private let clock: TeacherClock
  private let logger: Logger
  private var breaker: CircuitBreaker
  private var window: SpendingWindow?
  private var inFlight = 0
  private var lastFailure: (reason: TeacherState.PauseReason, message: String) = (.outage, "")
  private var waiting: [UInt64: CheckedContinuation<Void, Never>] = [:]
  private var order: [UInt64] = []
  private var nextWaiter: UInt64 = 0
  private var budgetPause: Duration?
  private var reported = TeacherState.running
  private var closed = false

  package init(
    name: String, maximumConcurrent: Int, breaker: BreakerPolicy, budget: BudgetPolicy?, clock: TeacherClock,
    logger: Logger, earlier: [EarlierSpending] = []
  ) {
    self.name = name
    self.maximumConcurrent = maximumConcurrent
    self.breaker = CircuitBreaker(policy: breaker)
    var window = budget.map { SpendingWindow(policy: $0) }
    let now = clock.monotonic()
    for entry in earlier { window?.record(tokens: entry.tokens, money: entry.money, at: now - entry.ago) }
    self.window = window
    self.clock = clock
    self.logger = logger
  }

  /// What the gate does at this moment.
  package var state: TeacherState {
    let now = clock.monotonic()
    if let until = breaker.pausedUntil(at: now) {
      return .paused(reason: lastFailure.reason, message: lastFailure.message, until: wallTime(of: until, now: now))
    }
    if breaker.isTripped {
      return .paused(reason: lastFailure.reason, message: lastFailure.message, until: clock.wallMilliseconds())
    }
    if let until = budgetPause, until > now {
      return .paused(
        reason: .budget, message: "this hour's budget for \(name) is spent", until: wallTime(of: until, now: now))
    }
    return .running
  }

  /// Waits until a request may be sent.
  package func enter() async throws(CancellationError) {
    while true {
      if closed || Task.isCancelled {
        wake()
        throw CancellationError()
      }
      let now = clock.monotonic()
      if inFlight >= maximumConcurrent {
        await waitForChange(until: nil)
        continue
      }
      if let until = window?.nextAdmission(at: now, inFlight: inFlight), until > now {
        budgetPause = until
        report()
        await waitForChange(until: until - now)
        continue
      }
      budgetPause = nil
      switch breaker.admit(at: now) {
      case .pass:
        inFlight += 1
        report()
        return
      case .waitUntil(let until): await waitForChange(until: until - now)
      case .waitForProbe: await waitForChange(until: nil)
      }
    }
  }

  /// Ends a request that `enter` let in.
  package func leave(_ ending: Ending) {
    inFlight -= 1
    let now = clock.monotonic()
    switch ending {
    case .answered(let tokens, let money):
      breaker.succeeded()
      window?.record(tokens: tokens, money: money, at: now)
    case .failed(let reason, let message, let retryAfter):
      lastFailure = (reason, message)
      breaker.failed(at: now, retryAfter: retryAfter)
    case .refused(let message):
      // Nothing is learned from one refusal, save that the endpoint is not up again where that was asked.
      guard breaker.isProbing else { break }
      lastFailure = (.configuration, message)
      breaker.trip(at: now)
    case .abandoned: breaker.abandoned(at: now)
    }
    report()
    wake()
  }

  /// Opens the breaker from outside a request: a canary was refused, or there is none.
  package func tripped(message: String) {
    lastFailure = (.configuration, message)
    breaker.trip(at: clock.monotonic())
    report()
  }

  /// Lets nobody in any more; those who wait get a cancellation.
  package func close() {
    closed = true
    wake()
  }

  private func wallTime(of moment: Duration, now: Duration) -> Int64 {
    clock.wallMilliseconds() + max(0, (moment - now).wholeMilliseconds)
  }

  private func report() {
    let current = state
    switch (reported, current) {
    case (.running, .paused(let reason, let message, let until)):
      logger.log(
        level: reason == .configuration ? .error : .warning, "paused",
        metadata: [
          "endpoint": "\(name)", "reason": "\(reason.rawValue)", "found": "\(message)",
          "until": "\(RFC3339.text(milliseconds: until))",
        ])
    case (.paused(.configuration, _, _), .paused(.configuration, _, _)): break
    case (.paused, .paused(.configuration, let message, _)):
      logger.error("paused", metadata: ["endpoint": "\(name)", "reason": "configuration", "found": "\(message)"])
    case (.paused, .running): logger.notice("running again", metadata: ["endpoint": "\(name)"])
    default: break
    }
    reported = current
  }

  /// Waits for a `leave`, or for the given time.
  private func waitForChange(until delay: Duration?) async {
    let id = nextWaiter
    nextWaiter += 1
    let timer = delay.map { delay in
      Task { [clock] in
        // A cancelled sleep wakes as well: the waiter looks again and finds out why.
        try? await clock.sleep(delay)
        self.resume(id)
      }
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        if Task.isCancelled || closed {
          continuation.resume()
        } else {
          waiting[id] = continuation
          order.append(id)
        }
      }
    } onCancel: {
      Task { await self.resume(id) }
    }
    timer?.cancel()
  }

  private func resume(_ id: UInt64) {
    guard let continuation = waiting.removeValue(forKey: id) else { return }
    order.removeAll { $0 == id }
    continuation.resume()
  }

  private func wake() {
    let continuations = order.compactMap { waiting[$0] }
    waiting.removeAll()
    order.removeAll()
    for continuation in continuations { continuation.resume() }
  }
}
