package import MessageLog

/// What a transactional writer does next: a plain value over the outcomes of its calls, after KIP-98 and KIP-447.
///
/// The offsets are sent before the records: where the group has moved on, nothing has been produced yet, and an aborted
/// transaction leaves no trace in the topics. Retriable errors repeat the same call for a bounded time; abortable ones
/// abort, so that the work may be done again; fatal ones make a new producer; whoever is fenced stops.
package struct TransactionFlow {
  package enum Step: Sendable, Hashable { case rebuild, begin, sendOffsets, produce, commit, abort }

  package enum Action: Equatable {
    case perform(Step)
    /// Wait, then perform.
    case retry(Step, after: Duration)
    case succeed
    case fail(MessageLogError)
  }

  /// An unsuccessful call.
  package struct Failure {
    package var fault: KafkaFailure.Fault
    package var error: MessageLogError

    package init(fault: KafkaFailure.Fault, error: MessageLogError) {
      self.fault = fault
      self.error = error
    }
  }

  /// How long one call is repeated.
  package static let patience = Duration.seconds(30)
  private static let firstPause = Duration.milliseconds(20)
  private static let longestPause = Duration.milliseconds(500)

  private let hasOffsets: Bool
  private var step: Step
  private var stepBegan: Duration = .zero
  private var pause = Self.firstPause
  private var reason: MessageLogError?
  /// Whether the producer must be replaced before the next transaction.
  package private(set) var needsRebuild: Bool
  /// Whether a newer writer has the transactional id: this one must never write again.
  package private(set) var isFenced = false

  /// A transaction that is about to begin.
  package init(hasOffsets: Bool, needsRebuild: Bool) {
    self.hasOffsets = hasOffsets
    self.needsRebuild = needsRebuild
    step = needsRebuild ? .rebuild : .begin
  }

  /// The first action.
  package var first: Action { .perform(step) }

  /// The action after a call; `elapsed` is the time since the flow began.
  package mutating func next(_ failure: Failure?, elapsed: Duration) -> Action {
    guard let failure else { return succeeded(elapsed) }
    // A group member that is fenced still aborts; a transactional id that is taken over cannot even do that.
    if failure.error.code == .fenced, failure.fault == .fatal {
      isFenced = true
      return .fail(failure.error)
    }
    switch failure.fault {
    case .retriable where elapsed - stepBegan < Self.patience:
      defer { pause = min(pause * 2, Self.longestPause) }
      return .retry(step, after: pause)
    case .abortable where step != .abort && step != .rebuild:
      reason = Self.replayable(failure.error)
      return enter(.abort, elapsed)
    case .other where step == .sendOffsets || step == .produce:
      reason = failure.error
      return enter(.abort, elapsed)
    default: return spent(failure.error, elapsed)
    }
  }

  private mutating func succeeded(_ elapsed: Duration) -> Action {
    switch step {
    case .rebuild:
      needsRebuild = false
      if let reason { return .fail(reason) }
      return enter(.begin, elapsed)
    case .begin: return enter(hasOffsets ? .sendOffsets : .produce, elapsed)
    case .sendOffsets: return enter(.produce, elapsed)
    case .produce: return enter(.commit, elapsed)
    case .commit: return .succeed
    case .abort: return .fail(reason ?? Self.unknown(nil))
    }
  }

  /// The producer is of no use any more, or did not answer for too long.
  private mutating func spent(_ error: MessageLogError, _ elapsed: Duration) -> Action {
    let outcome = step == .commit ? Self.unknown(error) : Self.replayable(error)
    if step == .rebuild { return .fail(reason ?? error) }
    reason = reason ?? outcome
    needsRebuild = true
    return enter(.rebuild, elapsed)
  }

  private mutating func enter(_ step: Step, _ elapsed: Duration) -> Action {
    self.step = step
    stepBegan = elapsed
    pause = Self.firstPause
    return .perform(step)
  }

  /// Nothing was written, so that the caller may do the work again.
  private static func replayable(_ error: MessageLogError) -> MessageLogError {
    guard error.code == .unavailable, !error.isRetriable else { return error }
    return MessageLogError(
      error.code, error.message, topic: error.topic, partition: error.partition, expected: error.expected,
      found: error.found, advice: error.advice, isRetriable: true)
  }

  private static func unknown(_ error: MessageLogError?) -> MessageLogError {
    MessageLogError(
      .unavailable, "the brokers did not say whether the transaction was committed", found: error?.found,
      advice: "begin again from the group's committed offsets: they tell whether it was")
  }
}
