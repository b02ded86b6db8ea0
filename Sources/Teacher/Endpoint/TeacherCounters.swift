internal import Synchronization
package import Topics

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

/// Counts the HTTP calls made for one record, and what their answers cost.
package final class CallCounter: Sendable {
  private let state = Mutex((calls: 0, usage: TokenUsage.none, cost: 0.0))

  package init() {}

  package func add() { state.withLock { $0.calls += 1 } }

  package func answered(_ usage: TokenUsage, cost: Double) {
    state.withLock {
      $0.usage = $0.usage + usage
      $0.cost += cost
    }
  }

  package var value: Int { state.withLock { $0.calls } }
  package var usage: TokenUsage { state.withLock { $0.usage } }
  package var cost: Double { state.withLock { $0.cost } }
}
