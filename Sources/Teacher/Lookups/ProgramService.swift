internal import Logging

/// A program that is run while labelling: that of a lookup, or the verifier's.
///
/// Where it cannot be started (it is being replaced, or the machine has no processes left) no record is at fault: it is
/// waited for, and so does labelling. How it ends is the record's.
final class ProgramService: Sendable {
  let gate: EndpointGate
  private let caller: ResilientCaller
  private let process: BoundedProcess

  /// A program that has not run yet.
  ///
  /// - Parameter name: what pauses are reported under.
  init(
    name: String, process: BoundedProcess, configuration: TeacherConfiguration, clock: TeacherClock, logger: Logger
  ) {
    // How many run at once is the matter of `ProcessSlots`.
    gate = EndpointGate(
      name: name, maximumConcurrent: .max, breaker: configuration.breaker, budget: nil, clock: clock, logger: logger)
    caller = ResilientCaller(gate: gate, retry: configuration.retry, clock: clock)
    self.process = process
  }

  /// Runs it, when it can be started.
  ///
  /// - Throws: `CancellationError`.
  func run(input: [UInt8], failure: RejectionCode) async throws -> BoundedProcess.Result {
    let process = process
    return try await caller.run(failure: failure, canary: { nil }) { _ in
      switch await process.run(input: input) {
      case .notStarted(let message):
        .outage(.outage, message: "the program did not start: \(message)", retryAfter: nil, blamable: false)
      case let ending: .success(ending, tokens: 0, money: 0)
      }
    }
  }
}
