import Foundation
import Inference
import Topics

/// The bounded queue between requests and the threads that answer them.
///
/// `@unchecked Sendable`: every mutable property is only touched under `condition`.
final class AnswerQueue: @unchecked Sendable {
  /// One request that waits.
  struct Job {
    let id: UInt64
    let messages: [ChatMessage]
    let model: ServedModel
    /// The only functions that may be called; nil: any.
    let functions: Set<String>?
    let done: CheckedContinuation<Answer, any Error>
  }

  /// What a thread is to do next.
  enum Work {
    case jobs([Job])
    case idle
    case stop
  }

  private let condition = NSCondition()
  let maximum: Int
  private var waiting: [Job] = []
  private var running = 0
  private var lastID: UInt64 = 0
  private var cancelledEarly: Set<UInt64> = []
  private var wakeNumber: UInt64 = 0
  private var isStopped = false

  init(maximum: Int) { self.maximum = maximum }

  private func locked<Value>(_ body: () -> Value) -> Value {
    condition.lock()
    defer { condition.unlock() }
    return body()
  }

  var inFlight: Int { locked { waiting.count + running } }

  func newID() -> UInt64 {
    locked {
      lastID += 1
      return lastID
    }
  }

  /// Queues a job, or resumes it with why not.
  func add(_ job: Job) {
    let refusal: (any Error)? = locked {
      // The cancellation of a task may be told before its job is here.
      if cancelledEarly.remove(job.id) != nil { return CancellationError() }
      if isStopped { return ServingError(.stopping, "The server is shutting down; ask another one.") }
      if waiting.count + running >= maximum {
        return ServingError(.busy, "\(maximum) requests are in flight already; try again in a second.")
      }
      waiting.append(job)
      condition.signal()
      return nil
    }
    if let refusal { job.done.resume(throwing: refusal) }
  }

  /// Takes a job that still waits out of the queue.
  func cancel(_ id: UInt64) {
    let job: Job? = locked {
      if let position = waiting.firstIndex(where: { $0.id == id }) { return waiting.remove(at: position) }
      // Ids of jobs that are running or done stay here for nothing, so the set is kept small.
      if cancelledEarly.count > 4 * maximum { cancelledEarly.removeAll() }
      cancelledEarly.insert(id)
      return nil
    }
    job?.done.resume(throwing: CancellationError())
  }

  /// Waits for jobs of one model and the same functions; `.idle` after a wake-up without any.
  func take(maximum count: Int) -> Work {
    locked {
      let seen = wakeNumber
      while waiting.isEmpty {
        if isStopped { return .stop }
        if wakeNumber != seen { return .idle }
        condition.wait()
      }
      let first = waiting[0]
      let taken = waiting.prefix(count).prefix { $0.model === first.model && $0.functions == first.functions }
      waiting.removeFirst(taken.count)
      running += taken.count
      if !waiting.isEmpty { condition.signal() }
      return .jobs(Array(taken))
    }
  }

  func finish(_ count: Int) { locked { running -= count } }

  func wakeAll() {
    locked {
      wakeNumber += 1
      condition.broadcast()
    }
  }

  func stop() {
    locked {
      isStopped = true
      condition.broadcast()
    }
  }
}
