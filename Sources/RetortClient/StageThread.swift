import Dispatch

/// A thread of its own for work that computes for seconds, so that Swift's pool stays free for everything that waits.
package final class StageThread: SerialExecutor {
  private let queue: DispatchQueue

  package init(_ name: String) {
    queue = DispatchQueue(label: name, qos: .userInitiated)
  }

  /// Does something on this thread for whoever is not isolated to it yet, as the initializer of an actor.
  package func run<Value>(_ body: @escaping @Sendable () throws -> sending Value) async throws -> sending Value {
    try await withCheckedThrowingContinuation { done in
      queue.async {
        do { done.resume(returning: try body()) } catch { done.resume(throwing: error) }
      }
    }
  }

  package func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
  }
}
