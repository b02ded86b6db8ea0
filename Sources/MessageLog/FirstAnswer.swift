/// A log's first answer, for callers who can go on without it.
package enum FirstAnswer {
  /// What a call of a log returns, where that comes in time.
  ///
  /// A log that is away says so when its own time limits have passed, and not every call of it can be broken off: one that takes
  /// too long is left to end by itself, and what it returns then is let go of. So it must open nothing.
  ///
  /// - Parameters:
  ///   - limit: how long to wait; nil: as long as the call takes.
  ///   - call: what the log is asked.
  /// - Throws: what `call` throws; `MessageLogError` with `unavailable` where nothing came in time; `CancellationError`.
  package static func of<Value: Sendable>(
    within limit: Duration?, _ call: @escaping @Sendable () async throws -> Value
  ) async throws -> Value {
    guard let limit else { return try await call() }
    let (results, arrival) = AsyncStream.makeStream(of: Result<Value, any Error>.self)
    let answer = Task { try await call() }
    Task { arrival.yield(await answer.result) }
    let clock = Task {
      try await Task.sleep(for: limit)
      arrival.yield(
        .failure(
          MessageLogError(
            .unavailable, "the log has not answered yet",
            advice: "it is asked again; look whether it runs and can be reached from here")))
    }
    defer {
      answer.cancel()
      clock.cancel()
    }
    for await result in results { return try result.get() }
    throw CancellationError()
  }
}
