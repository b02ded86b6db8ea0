import Foundation
public import Inference
public import Topics

/// Answers requests on threads of its own, several waiting ones at a time.
///
/// Each thread owns a decoder for the model it served last. Answers have the same bits whatever is answered beside them, so
/// requests that wait together are decoded together. Ordering: first come, first taken. Back-pressure: above
/// ``Options/maximumRequests`` a request is refused at once. Cancellation: a request that still waits leaves the queue; one that is
/// being computed is finished and forgotten.
public final class AnswerEngine: Sendable {
  /// How many at once.
  public struct Options: Sendable, Hashable {
    /// Threads, 1 or more.
    public var workers: Int
    /// Requests waiting or being computed, 1 or more; default 64.
    public var maximumRequests: Int
    /// Requests that one thread decodes together, 1…1024; default 8.
    public var maximumBatch: Int
    /// How answers are decoded.
    public var decoding: DecodeOptions

    /// Options.
    public init(
      workers: Int, maximumRequests: Int = 64, maximumBatch: Int = 8, decoding: DecodeOptions = DecodeOptions()
    ) {
      self.workers = max(1, workers)
      self.maximumRequests = max(1, maximumRequests)
      self.maximumBatch = min(max(1, maximumBatch), 1024)
      self.decoding = decoding
    }
  }

  private let queue: AnswerQueue

  /// An engine; its threads start now and end with ``stop()``.
  public init(slot: ModelSlot, options: Options) {
    queue = AnswerQueue(maximum: options.maximumRequests)
    for index in 0..<options.workers {
      let worker = AnswerWorker(queue: queue, slot: slot, options: options)
      let thread = Thread { worker.run() }
      thread.name = "retort-answer-\(index)"
      thread.stackSize = 8 << 20
      thread.start()
    }
  }

  /// Requests waiting or being computed now.
  public var requestsInFlight: Int { queue.inFlight }

  /// How many there may be.
  var maximumRequests: Int { queue.maximum }

  /// Answers a conversation.
  ///
  /// - Parameters:
  ///   - model: what answers; taken from the slot once, when the request began.
  ///   - functions: the only ones that may be called; nil (default): any of the model's.
  /// - Throws: ``ServingError`` `rate_limit_exceeded`, `shutting_down`, `internal_error`; `CancellationError`.
  public func answer(
    _ messages: [ChatMessage], with model: ServedModel, functions: Set<String>? = nil
  ) async throws -> Answer {
    let id = queue.newID()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { done in
        queue.add(AnswerQueue.Job(id: id, messages: messages, model: model, functions: functions, done: done))
      }
    } onCancel: {
      queue.cancel(id)
    }
  }

  /// Lets idle threads forget decoders of models that are no longer served.
  public func forgetOldModels() { queue.wakeAll() }

  /// Takes no more requests; those in the queue are still answered, then the threads end.
  public func stop() { queue.stop() }

  deinit { queue.stop() }
}

/// One thread: takes requests, owns a decoder.
private final class AnswerWorker: Sendable {
  private let queue: AnswerQueue
  private let slot: ModelSlot
  private let options: AnswerEngine.Options

  init(queue: AnswerQueue, slot: ModelSlot, options: AnswerEngine.Options) {
    self.queue = queue
    self.slot = slot
    self.options = options
  }

  func run() {
    var held: (model: ServedModel, decoder: Inference.Decoder)?
    while true {
      switch queue.take(maximum: options.maximumBatch) {
      case .stop: return
      case .idle: break
      case .jobs(let jobs):
        let answers = Result { try self.answers(to: jobs, &held) }
        // Before anybody is told: the next request of a client that waits for its answer must find room.
        queue.finish(jobs.count)
        tell(jobs, answers)
      }
      // A model that was swapped meanwhile is kept by nobody: the next job may be far away.
      if let model = held?.model, model !== slot.current { held = nil }
    }
  }

  private func answers(
    to jobs: [AnswerQueue.Job], _ held: inout (model: ServedModel, decoder: Inference.Decoder)?
  ) throws -> [Answer] {
    let model = jobs[0].model
    let decoder: Inference.Decoder
    if let held, held.model === model {
      decoder = held.decoder
    } else {
      decoder = try Inference.Decoder(model: model.model, maximumBatch: options.maximumBatch)
      held = (model, decoder)
    }
    var decoding = options.decoding
    decoding.functions = jobs[0].functions
    do {
      return try decoder.answer(jobs.map(\.messages), options: decoding)
    } catch {
      held = nil
      throw error
    }
  }

  private func tell(_ jobs: [AnswerQueue.Job], _ answers: Result<[Answer], any Error>) {
    switch answers {
    case .success(let answers):
      for (job, answer) in zip(jobs, answers) { job.done.resume(returning: answer) }
    case .failure(let error):
      let failure = ServingError(.failed, "The model cannot answer: \(error)")
      for job in jobs { job.done.resume(throwing: failure) }
    }
  }
}
