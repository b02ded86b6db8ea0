internal import Logging
internal import Synchronization

/// An HTTP service that is asked while labelling: that of a lookup, or the verifier's.
///
/// 429, 5xx, no answer in time and no connection are an outage: asking waits until it is over, and so does labelling.
/// A question that fails again and again while the service answers others is at fault itself. What others met is found
/// out by repeating the last question that was answered, so questions must change nothing where they are asked. Before
/// any was answered nothing can tell an outage from a question at fault, and the service is waited for.
final class HTTPService: Sendable {
  /// What is sent.
  struct Question: Sendable {
    var method = "POST"
    var url: String
    var headers: [(String, String)] = []
    /// JSON, or nil for none.
    var body: [UInt8]?
  }

  /// What an answer that is no outage means: its status, and its body or nil where that is too large.
  typealias Reading<Value: Sendable> = @Sendable (Int, [UInt8]?) -> Attempt<Value>

  let gate: EndpointGate
  private let caller: ResilientCaller
  private let transport: HTTPTransport
  private let timeout: Duration
  private let maximumBytes: Int
  private let answered = Mutex<Question?>(nil)

  /// A service that nobody has asked yet.
  ///
  /// - Parameters:
  ///   - name: what pauses are reported under.
  ///   - timeout: for one attempt, from the connection to the last byte.
  ///   - maximumBytes: the largest answer.
  init(
    name: String, timeout: Duration, maximumBytes: Int, transport: HTTPTransport, configuration: TeacherConfiguration,
    clock: TeacherClock, logger: Logger
  ) {
    gate = EndpointGate(
      name: name, maximumConcurrent: configuration.maximumConcurrentRequests, breaker: configuration.breaker,
      budget: nil, clock: clock, logger: logger)
    caller = ResilientCaller(gate: gate, retry: configuration.retry, clock: clock)
    self.transport = transport
    self.timeout = timeout
    self.maximumBytes = maximumBytes
  }

  /// Asks until there is an answer, or a reason that lies in the question.
  ///
  /// - Throws: `Rejection`, with the code `failure` where this question alone fails; `CancellationError`.
  func ask<Value: Sendable>(
    _ question: Question, failure: RejectionCode, reading: @escaping Reading<Value>
  ) async throws -> Value {
    let value = try await caller.run(failure: failure, canary: { self.canary(reading) }) { _ in
      await self.attempt(question, reading)
    }
    wasAnswered(question)
    return value
  }

  /// Takes note of a question that the service has answered, now or when a cached exchange was made.
  func wasAnswered(_ question: Question) { answered.withLock { $0 = question } }

  private func canary<Value: Sendable>(_ reading: @escaping Reading<Value>) -> ResilientCaller.Canary? {
    guard let question = answered.withLock({ $0 }) else { return nil }
    return { await self.attempt(question, reading).map { _ in true } }
  }

  private func attempt<Value: Sendable>(_ question: Question, _ reading: Reading<Value>) async -> Attempt<Value> {
    let result = await transport.send(
      method: question.method, url: question.url, headers: question.headers, body: question.body, timeout: timeout,
      maximumBytes: maximumBytes)
    switch result {
    case .answer(let status, let wait, _) where status == 429 || status == 503:
      let after = wait.flatMap { RetryAfter.parse($0, wallMilliseconds: caller.clock.wallMilliseconds()) }
      return .outage(
        status == 429 ? .rateLimited : .outage, message: "status \(status)", retryAfter: after, blamable: false)
    case .answer(let status, _, _) where status >= 500 || status == 408 || status == 425,
      .tooLarge(let status) where status >= 500:
      return .outage(.outage, message: "status \(status)", retryAfter: nil, blamable: true)
    case .timedOut: return .outage(.outage, message: "no answer within \(timeout)", retryAfter: nil, blamable: true)
    case .failed(let message): return .outage(.outage, message: message, retryAfter: nil, blamable: true)
    case .answer(let status, _, let body): return reading(status, body)
    case .tooLarge(let status): return reading(status, nil)
    }
  }
}
