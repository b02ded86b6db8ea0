internal import Synchronization

/// Something that is to happen once, whichever thread comes first.
final class Once: Sendable {
  private let hasHappened = Mutex(false)

  /// Whether this is the first call.
  func isFirst() -> Bool {
    hasHappened.withLock { hasHappened in
      defer { hasHappened = true }
      return !hasHappened
    }
  }
}
