package import Logging
package import Topics

/// The cache as labelling sees it: a failure of it is reported once and never costs a label.
package struct ForgivingCache: Sendable {
  private let cache: AnswerCache
  private let lifetime: Duration
  private let counters: TeacherCounters
  private let logger: Logger
  private let clock: TeacherClock

  package init(
    _ cache: AnswerCache, lifetime: Duration, counters: TeacherCounters, logger: Logger, clock: TeacherClock
  ) {
    self.cache = cache
    self.lifetime = lifetime
    self.counters = counters
    self.logger = logger
    self.clock = clock
  }

  /// Whether an answer is there for whoever asks the same next.
  package var keepsAnswers: Bool { lifetime > .zero }

  package func exchange(for key: Digest) async -> Exchange? {
    let oldest = clock.wallMilliseconds() - lifetime.wholeMilliseconds
    let found = await guarded { try await $0.exchange(for: key, since: oldest) } ?? nil
    counters.update {
      $0.cacheHits += found == nil ? 0 : 1
      $0.cacheMisses += found == nil ? 1 : 0
    }
    return found
  }

  package func store(_ exchange: Exchange, for key: Digest, request: Digest) async {
    let now = clock.wallMilliseconds()
    let oldest = now - lifetime.wholeMilliseconds
    await guarded { try await $0.store(exchange, for: key, request: request, at: now, forgettingBefore: oldest) }
  }

  package func spent(tokens: Int, cost: Double) async {
    guard tokens > 0 || cost > 0 else { return }
    let now = clock.wallMilliseconds()
    await guarded { try await $0.spent(tokens: tokens, cost: cost, at: now) }
  }

  package func remove(_ key: Digest) async { await guarded { try await $0.remove(key) } }

  package func close() { cache.close() }

  @discardableResult
  private func guarded<Value: Sendable>(
    _ body: @escaping @Sendable (AnswerCache) async throws -> Value
  ) async -> Value? {
    let cache = cache
    // In a task of its own: what was paid for is kept also where nobody waits for the label any more.
    do { return try await Task { try await body(cache) }.value } catch {
      let failures = counters.updating { metrics -> Int in
        metrics.cacheFailures += 1
        return metrics.cacheFailures
      }
      if failures == 1 {
        logger.warning(
          "the answer cache fails; labelling goes on without it", metadata: ["found": "\(String(describing: error))"])
      }
      return nil
    }
  }
}
