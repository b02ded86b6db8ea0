import Foundation

/// The one thread of a librdkafka handle, as the executor of the actor that owns the handle.
///
/// The thread sleeps until there is a job of the actor, until ``wake()`` (librdkafka has something in a queue), or until
/// the time that the actor asked for; then it runs the jobs and lets the actor serve its queues. Blocking calls of
/// librdkafka made here keep nobody else waiting.
///
/// Unchecked: all mutable state is guarded by `condition`.
final class HandleThread: SerialExecutor, @unchecked Sendable {
  /// Serves the handle's queues; returns when to call again at the latest, nil for not before something happens.
  typealias Pump = @Sendable () -> ContinuousClock.Instant?

  private let condition = NSCondition()
  private var jobs: [UnownedJob] = []
  private var isAwake = false
  private var isStopped = false
  private var pump: Pump?

  /// Starts the thread; it ends after ``stop()``.
  init(_ name: String) {
    let thread = Thread { [self] in run() }
    thread.name = String(name.prefix(15))
    thread.start()
  }

  /// What serves the handle's queues; it must not hold the actor strongly.
  func setPump(_ pump: @escaping Pump) {
    condition.withLock { self.pump = pump }
    wake()
  }

  /// Makes the thread serve the queues soon; may be called from any thread, librdkafka's included.
  func wake() {
    condition.withLock {
      isAwake = true
      condition.signal()
    }
  }

  /// Ends the thread once its jobs are done.
  func stop() {
    condition.withLock {
      isStopped = true
      pump = nil
      condition.signal()
    }
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    condition.withLock {
      jobs.append(job)
      condition.signal()
    }
  }

  func checkIsolated() {
    precondition(Thread.current.threadDictionary[Self.key] as? HandleThread === self, "not on the handle's thread")
  }

  private static let key = "retort.handle-thread"

  private func run() {
    Thread.current.threadDictionary[Self.key] = self
    defer { Thread.current.threadDictionary.removeObject(forKey: Self.key) }
    var deadline: ContinuousClock.Instant?
    while let (jobs, pump) = sleep(until: deadline) {
      for job in jobs { job.runSynchronously(on: asUnownedSerialExecutor()) }
      deadline = pump?()
    }
  }

  /// What to do next, nil when the thread is to end.
  private func sleep(until deadline: ContinuousClock.Instant?) -> ([UnownedJob], Pump?)? {
    condition.lock()
    defer { condition.unlock() }
    while jobs.isEmpty && !isAwake && !isStopped {
      guard let deadline else {
        condition.wait()
        continue
      }
      let left = deadline - .now
      guard left > .zero, condition.wait(until: Date(timeIntervalSinceNow: left / .seconds(1))) else { break }
    }
    if isStopped && jobs.isEmpty { return nil }
    isAwake = false
    defer { jobs.removeAll(keepingCapacity: true) }
    return (jobs, pump)
  }
}
