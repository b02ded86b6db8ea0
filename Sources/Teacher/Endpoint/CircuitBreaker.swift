/// Decides whether a request may be sent to an endpoint, from what happened to the earlier ones.
///
/// Closed: all may pass. After `failures` failures in a row it opens: none may pass before a time. Then
/// one probe may pass; its success closes the breaker, its failure opens it for twice as long. What one answer asks for
/// beyond a minute may concern its request alone, one that is larger than a limit allows, and all others would wait with
/// it: the first that opens the breaker gets a minute, and each in a row twice as long.
///
/// Reference: M. Nygard, "Release It!", 2007, chapter 5. A pure value: it knows no clock.
package struct CircuitBreaker: Sendable {
  /// What a request may do now.
  package enum Admission: Sendable, Hashable {
    case pass
    case waitUntil(Duration)
    case waitForProbe
  }

  enum State: Sendable, Hashable {
    case closed(failures: Int)
    case open(until: Duration, openings: Int)
    case halfOpen(openings: Int)
  }

  let policy: BreakerPolicy
  var state = State.closed(failures: 0)
  /// Openings in a row that were asked to last longer than ``longestWish``.
  private var longWishes = 0
  /// How long one answer alone may hold up all requests.
  private var longestWish: Duration { max(policy.maximumPause, .seconds(60)) }

  package init(policy: BreakerPolicy) { self.policy = policy }

  /// Until when nothing passes; nil when something may.
  package func pausedUntil(at now: Duration) -> Duration? {
    if case .open(let until, _) = state, until > now { return until }
    return nil
  }

  /// Whether the endpoint is thought to be down, probing included.
  package var isTripped: Bool {
    if case .closed = state { return false }
    return true
  }

  /// Whether a probe is under way.
  package var isProbing: Bool {
    if case .halfOpen = state { return true }
    return false
  }

  package mutating func admit(at now: Duration) -> Admission {
    switch state {
    case .closed: return .pass
    case .halfOpen: return .waitForProbe
    case .open(let until, _) where until > now: return .waitUntil(until)
    case .open(_, let openings):
      state = .halfOpen(openings: openings)
      return .pass
    }
  }

  package mutating func succeeded() {
    state = .closed(failures: 0)
    longWishes = 0
  }

  /// Counts a failure; `retryAfter` is the endpoint's own wish.
  package mutating func failed(at now: Duration, retryAfter: Duration?) {
    switch state {
    case .closed(let failures):
      if failures + 1 >= policy.failures {
        open(at: now, openings: 0, retryAfter: retryAfter)
      } else {
        state = .closed(failures: failures + 1)
      }
    case .halfOpen(let openings): open(at: now, openings: openings, retryAfter: retryAfter)
    case .open(let until, let openings):
      // A straggler sent before the breaker opened: it says nothing new, but its Retry-After may.
      let wish = now + min(retryAfter ?? .zero, longestWish)
      if wish > until { state = .open(until: wish, openings: openings) }
    }
  }

  /// Opens at once: the endpoint refuses every request.
  package mutating func trip(at now: Duration) {
    switch state {
    case .closed: open(at: now, openings: 0, retryAfter: nil)
    case .halfOpen(let openings): open(at: now, openings: openings, retryAfter: nil)
    case .open(let until, let openings) where until <= now: open(at: now, openings: openings, retryAfter: nil)
    case .open: break
    }
  }

  /// A request ended without telling anything about the endpoint (it was cancelled).
  package mutating func abandoned(at now: Duration) {
    if case .halfOpen(let openings) = state { state = .open(until: now, openings: openings) }
  }

  private mutating func open(at now: Duration, openings: Int, retryAfter: Duration?) {
    var pause = policy.pause
    for _ in 0..<min(openings, 40) where pause < policy.maximumPause { pause *= 2 }
    let wish = retryAfter ?? .zero
    longWishes = wish > longestWish ? longWishes + 1 : 0
    var granted = longestWish
    for _ in 1..<max(1, min(longWishes, 40)) where granted < wish { granted *= 2 }
    pause = max(min(pause, policy.maximumPause), min(wish, granted))
    state = .open(until: now + pause, openings: openings + 1)
  }
}
