internal import Synchronization

/// The teacher's counters, shared by its parts.
package final class TeacherCounters: Sendable {
  private let state = Mutex(TeacherMetrics())

  package init() {}

  package var current: TeacherMetrics { state.withLock { $0 } }

  package func update(_ change: (inout TeacherMetrics) -> Void) { state.withLock { change(&$0) } }

  package func updating<Value: Sendable>(_ change: (inout TeacherMetrics) -> Value) -> Value {
    state.withLock { change(&$0) }
  }
}

/// Counts the HTTP calls made for one record.
package final class CallCounter: Sendable {
  private let count = Atomic(0)

  package init() {}

  package func add() { count.add(1, ordering: .relaxed) }

  package var value: Int { count.load(ordering: .relaxed) }
}
