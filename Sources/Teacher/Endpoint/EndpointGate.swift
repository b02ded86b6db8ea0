package import Logging
import Topics

/// Guards one endpoint: how many requests are in flight, whether it is up, and whether there is money left.
///
/// ``enter(goesFirst:)`` waits, in the order of arrival, until a request may be sent; every `enter` is followed by
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

  let name: String
  private let maximumConcurrent: Int
  private let clock: TeacherClock
  private let logger: Logger
  private var breaker: CircuitBreaker
  private var window: SpendingWindow?
  private var inFlight = 0
  private var lastFailure: (reason: TeacherState.PauseReason, message: String) = (.outage, "")
  private var waiting: [UInt64: CheckedContinuation<Bool, Never>] = [:]
  /// Those who wait in the order in which they go, from `first` on; some may wait no more.
  private var order: [UInt64] = []
  private var first = 0
  private var nextNumber: UInt64 = 0
  /// When it is looked again who may pass; never later than the first who waits may.
  private var timer: (number: UInt64, until: Duration, task: Task<Void, Never>)?
  private var budgetPause: Duration?
  private var reported = TeacherState.running
  private var closed = false
  /// How many requests were answered that a busy endpoint had told to wait before.
  package private(set) var helpedByWaiting = 0

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

  /// How many wait.
  package var waiters: Int { waiting.count }

  /// Waits until a request may be sent.
  ///
  /// - Parameter goesFirst: goes before those who wait: a canary, as what it finds out concerns them.
  package func enter(goesFirst: Bool = false) async throws(CancellationError) {
    if closed || Task.isCancelled { throw CancellationError() }
    if goesFirst || waiting.isEmpty, admit() { return }
    guard await waitForTurn(goesFirst) else { throw CancellationError() }
    if closed || Task.isCancelled {
      // The turn is the next one's.
      leave(.abandoned)
      throw CancellationError()
    }
  }

  /// Lets one request in, where it may be sent now. Where it may not, there is a request in flight, or a timer.
  private func admit() -> Bool {
    let now = clock.monotonic()
    if inFlight >= maximumConcurrent || window?.waitsForAnswer(at: now, inFlight: inFlight) == true { return false }
    if let until = window?.nextAdmission(at: now, inFlight: inFlight), until > now {
      budgetPause = until
      report()
      lookAgain(at: until, now: now)
      return false
    }
    budgetPause = nil
    switch breaker.admit(at: now) {
    case .pass:
      inFlight += 1
      report()
      return true
    case .waitUntil(let until):
      lookAgain(at: until, now: now)
      return false
    case .waitForProbe: return false
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
    admitWaiting()
  }

  /// Counts a request that was answered after it had been told to wait.
  package func waitingHasHelped() { helpedByWaiting += 1 }

  /// Opens the breaker from outside a request: a canary was refused, or there is none.
  package func tripped(message: String) {
    lastFailure = (.configuration, message)
    breaker.trip(at: clock.monotonic())
    report()
    admitWaiting()
  }

  /// Lets nobody in any more; those who wait get a cancellation.
  package func close() {
    closed = true
    timer?.task.cancel()
    timer = nil
    for continuation in waiting.values { continuation.resume(returning: false) }
    waiting.removeAll()
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

  /// Waits until it is let in; false where it is cancelled before, or the gate closed.
  private func waitForTurn(_ goesFirst: Bool) async -> Bool {
    let number = nextNumber
    nextNumber += 1
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        if Task.isCancelled || closed {
          continuation.resume(returning: false)
        } else {
          waiting[number] = continuation
          order.insert(number, at: goesFirst ? first : order.endIndex)
        }
      }
    } onCancel: {
      Task { await self.giveUp(number) }
    }
  }

  private func giveUp(_ number: UInt64) { waiting.removeValue(forKey: number)?.resume(returning: false) }

  /// Lets in as many as may pass now.
  private func admitWaiting() {
    while let number = longestWaiting(), admit() { waiting.removeValue(forKey: number)?.resume(returning: true) }
  }

  private func longestWaiting() -> UInt64? {
    while first < order.count, waiting[order[first]] == nil { first += 1 }
    if first == order.count || first >= 1_024 {
      order.removeFirst(first)
      first = 0
    }
    return order.isEmpty ? nil : order[first]
  }

  private func lookAgain(at until: Duration, now: Duration) {
    if let timer, timer.until <= until { return }
    timer?.task.cancel()
    let number = nextNumber
    nextNumber += 1
    let task = Task { [clock] in
      try? await clock.sleep(until - now)
      self.timeIsUp(number)
    }
    timer = (number, until, task)
  }

  private func timeIsUp(_ number: UInt64) {
    // Another one may have taken its place.
    guard timer?.number == number else { return }
    timer = nil
    admitWaiting()
  }
}
