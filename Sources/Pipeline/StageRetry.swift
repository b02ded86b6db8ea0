import Logging
import MessageLog

/// Begins a stage anew when the log failed in a way that passes: a stage's state is what is in the log.
enum StageRetry {
  /// How often in a row a stage is begun anew, if each time it fails within ``quick``: for minutes of an outage.
  private static let limit = 30
  private static let quick = Duration.seconds(60)

  /// Runs `body` until it returns.
  ///
  /// - Parameters:
  ///   - repeatsFenced: whether it may go on when another member took its partitions over; a stage that only one
  ///     process may run stops instead.
  ///   - body: the stage; it may say that it has progressed, which makes what failed before no failures in a row.
  /// - Throws: an error that no retry can help, or the last of too many.
  static func run(
    _ stage: String, repeatsFenced: Bool = true, logger: Logger, _ body: (_ progressed: () -> Void) async throws -> Void
  ) async throws {
    var failures = 0
    while !Task.isCancelled {
      let began = ContinuousClock.now
      do {
        return try await body { failures = 0 }
      } catch let error as MessageLogError where error.isRetriable || (repeatsFenced && error.code == .fenced) {
        failures = ContinuousClock.now - began < quick ? failures + 1 : 1
        guard failures <= limit else { throw error }
        logger.notice("\(stage): begins again", metadata: ["reason": "\(error)"])
        if error.code != .fenced { try await Task.sleep(for: .milliseconds(min(5_000, 250 * failures))) }
      }
    }
  }
}
