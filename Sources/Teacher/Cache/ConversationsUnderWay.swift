internal import Synchronization
internal import Topics

/// The conversations that are under way: who has the same waits for its end, and finds the answers in the cache.
final class ConversationsUnderWay: Sendable {
  /// Those who wait, by conversation; a stream is ended to let one go on.
  private let waiting = Mutex<[Digest: [AsyncStream<Void>.Continuation]]>([:])

  /// Runs `body`; while one with the same key runs, not before that has ended, however it ends.
  ///
  /// - Throws: `CancellationError`, and what `body` throws.
  func run<Value>(_ key: Digest, _ body: () async throws -> Value) async throws -> Value {
    let earlier = waiting.withLock { waiting -> AsyncStream<Void>? in
      guard waiting[key] != nil else {
        waiting[key] = []
        return nil
      }
      let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
      waiting[key]?.append(continuation)
      return stream
    }
    guard let earlier else {
      defer { waiting.withLock { $0.removeValue(forKey: key) }?.forEach { $0.finish() } }
      return try await body()
    }
    for await _ in earlier {}
    try Task.checkCancellation()
    return try await body()
  }
}
