import GRDB
import MessageLog
import Synchronization

/// Starts compaction and retention in the background, now and then, while records are being appended.
final class Janitor: Sendable {
  private let store: Store
  private let state: Mutex<(next: ContinuousClock.Instant, task: Task<Void, Never>?)>

  init(store: Store) {
    self.store = store
    state = Mutex((ContinuousClock.now + (store.options.maintenanceInterval ?? .zero), nil))
  }

  /// Called after each append; cheap.
  func poke() {
    guard let interval = store.options.maintenanceInterval else { return }
    state.withLock { state in
      let now = ContinuousClock.now
      guard now >= state.next else { return }
      state.next = now + interval
      // The previous round may still be at work.
      let previous = state.task
      state.task = Task(priority: .background) { [store] in
        await previous?.value
        await Self.work(store, interval: interval)
      }
    }
  }

  /// Ends what is under way.
  func stop() async {
    let task = state.withLock { $0.task }
    task?.cancel()
    await task?.value
  }

  private static func work(_ store: Store, interval: Duration) async {
    // Errors are left to whoever appends next: it meets a full disk or a damaged file, too, and has a caller to tell.
    let due = try? await store.write { db in
      let now = SystemTime.wallMilliseconds()
      // A clock that was set back must not stop this for ever.
      try db.run(
        "UPDATE log SET maintained = ?1 WHERE id = 1 AND (maintained <= ?2 OR maintained > ?1)",
        [now, now - interval.milliseconds])
      return db.changesCount > 0
    }
    if due == true { _ = try? await Maintenance(store: store, isLazy: true).run() }
  }
}
