#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif
package import Topics

/// Speaks `POST /v1/chat/completions` of the OpenAI protocol.
///
/// Delivery: at least once; one call may be billed more than once when an answer is lost. Cancellation ends the
/// call at once.
package struct ChatClient: Sendable {
  package let url: String
  private let configuration: TeacherConfiguration
  private let transport: HTTPTransport
  private let caller: ResilientCaller
  private let counters: TeacherCounters
  private let cache: ForgivingCache?

  /// - Parameter cache: what keeps the spending for a later process.
  package init(
    endpoint: String, configuration: TeacherConfiguration, transport: HTTPTransport, caller: ResilientCaller,
    counters: TeacherCounters, cache: ForgivingCache?
  ) throws(TeacherError) {
    guard HTTPTransport.isUsable(endpoint) else {
      throw TeacherError(
        .invalidConfiguration, subject: "teacher.endpoint",
        expected: "an http or https URL with a host and without user information",
        found: HTTPTransport.shown(endpoint))
    }
    url = Self.completionsURL(endpoint)
    self.configuration = configuration
    self.transport = transport
    self.caller = caller
    self.counters = counters
    self.cache = cache
  }

  /// The URL of chat completions for a base, a versioned base, or the whole URL; a query (`?api-version=…`) stays behind it.
  package static func completionsURL(_ endpoint: String) -> String {
    let query = endpoint.firstIndex(of: "?") ?? endpoint.endIndex
    var base = endpoint[..<query]
    while base.hasSuffix("/") { base = base.dropLast() }
    if base.hasSuffix("/chat/completions") { return "\(base)\(endpoint[query...])" }
    let last = base.split(separator: "/").last ?? ""
    let versioned = last.first == "v" && last.count > 1 && last.dropFirst().allSatisfy { $0.isASCII && $0.isNumber }
    return "\(base)\(versioned ? "" : "/v1")/chat/completions\(endpoint[query...])"
  }

  /// The request body without its messages: what stays the same over an exchange, and is part of the cache's key.
  package func parameters(tools: JSON, sample: Int) -> JSONObject {
    var body: JSONObject = ["model": .string(configuration.model), "tools": tools]
    body["tool_choice"] = configuration.requiresToolCall ? "required" : "auto"
    body["temperature"] = .number(configuration.temperature)
    if let seed = configuration.seed { body["seed"] = .integer(seed &+ Int64(sample)) }
    if let maximum = configuration.maximumAnswerTokens { body["max_tokens"] = .integer(Int64(maximum)) }
    if configuration.topLogprobs > 0 {
      body["logprobs"] = true
      body["top_logprobs"] = .integer(Int64(configuration.topLogprobs))
    }
    body.merge(configuration.extraParameters)
    return body
  }

  /// An answer, and how long the call that brought it took.
  package struct TimedAnswer: Sendable {
    package let answer: ChatAnswer
    package let elapsed: Duration
  }

  /// What the endpoint took to be an answer, and is paid for, also where it is malformed.
  private struct Paid: Sendable {
    let usage: TokenUsage
    let answer: Result<TimedAnswer, Rejection>
  }

  /// Gets one answer, however long the endpoint is away.
  ///
  /// - Throws: `Rejection` or `CancellationError`.
  package func complete(
    messages: [JSON], parameters: JSONObject, calls: CallCounter
  ) async throws -> TimedAnswer {
    let body = requestBody(messages, parameters)
    let canaryBody = requestBody(canaryMessages(messages), parameters)
    let paid = try await caller.run(
      failure: .teacherFailed,
      canary: {
        { await attempt(canaryBody, number: 0, calls: calls).map { _ in true } }
      },
      body: { number in await attempt(body, number: number, calls: calls) })
    return try paid.answer.get()
  }

  private func requestBody(_ messages: [JSON], _ parameters: JSONObject) -> [UInt8] {
    var body = parameters
    body["messages"] = .array(messages)
    return JSON.object(body).bytes
  }

  /// The same request with a harmless question: what it meets is not this record's fault.
  private func canaryMessages(_ messages: [JSON]) -> [JSON] {
    messages.prefix(1).filter { $0["role"] == "system" } + [["role": "user", "content": "Hello."]]
  }

  private func attempt(_ body: [UInt8], number: Int, calls: CallCounter) async -> Attempt<Paid> {
    // The same for every call: one that had less would tell nothing of the endpoint where it ends without an answer.
    let timeout = min(configuration.callTimeout, configuration.totalTimeout)
    var headers: [(String, String)] = []
    if let key = configuration.apiKey { headers.append(("authorization", "Bearer \(key)")) }
    // The header by which OpenAI's own clients tell a repeated request from a first one.
    headers.append(("x-stainless-retry-count", String(number)))
    calls.add()
    counters.update {
      $0.calls += 1
      $0.retries += number > 0 ? 1 : 0
    }
    let started = ContinuousClock.now
    let result = await transport.send(
      method: "POST", url: url, headers: headers, body: body, timeout: timeout,
      maximumBytes: configuration.largestResponse)
    let ended = classify(result, timeout: timeout, elapsed: ContinuousClock.now - started)
    if case .success(let paid, _, let cost) = ended { await spent(paid.usage, cost, calls) }
    return ended
  }

  private func spent(_ usage: TokenUsage, _ cost: Double, _ calls: CallCounter) async {
    calls.answered(usage, cost: cost)
    counters.update {
      $0.usage = $0.usage + usage
      $0.cost += cost
    }
    await cache?.spent(tokens: usage.total, cost: cost)
  }

  private func classify(
    _ result: HTTPTransport.Result, timeout: Duration, elapsed: Duration
  ) -> Attempt<Paid> {
    switch result {
    case .timedOut:
      return .outage(.outage, message: "no answer within \(timeout)", retryAfter: nil, blamable: true)
    case .failed(let message):
      return .outage(.outage, message: "no connection: \(mask(message))", retryAfter: nil, blamable: true)
    case .tooLarge(let status) where (200..<300).contains(status):
      return .rejected(
        Rejection(
          code: .malformedAnswer,
          message: "expected an answer of at most \(configuration.largestResponse) bytes, found more"))
    case .tooLarge(let status): return classify(status: status, retryAfter: nil, body: [], elapsed: elapsed)
    case .answer(let status, let retryAfter, let body):
      return classify(status: status, retryAfter: retryAfter, body: body, elapsed: elapsed)
    }
  }

  private func classify(
    status: Int, retryAfter: String?, body: [UInt8], elapsed: Duration
  ) -> Attempt<Paid> {
    let message = "status \(status)\(mask(Self.errorMessage(body)))"
    let wait = retryAfter.flatMap { RetryAfter.parse($0, wallMilliseconds: caller.clock.wallMilliseconds()) }
    switch status {
    case 200..<300: return read(body, elapsed)
    case 429: return .outage(.rateLimited, message: message, retryAfter: wait, blamable: false)
    // 529: some endpoints' word for being overloaded.
    case 503, 529: return .outage(.outage, message: message, retryAfter: wait, blamable: false)
    case 408, 425, 500...: return .outage(.outage, message: message, retryAfter: wait, blamable: true)
    case 413: return .rejected(refusal(message, body))
    case 300..<400, 401...407: return .refused(refusal(message, body), isUsual: true)
    default: return .refused(refusal(message, body), isUsual: false)
    }
  }

  private func refusal(_ message: String, _ body: [UInt8]) -> Rejection {
    Rejection(code: .teacherRefused, message: message, rawAnswer: mask(Self.text(body)))
  }

  private func read(_ body: [UInt8], _ elapsed: Duration) -> Attempt<Paid> {
    let json = try? JSON.parse(body, maximumBytes: body.count)
    // Some gateways wrap a failure of what is behind them in status 200.
    if let json, json["choices"] == nil, let error = json["error"], error != .null {
      return .outage(
        .outage, message: "status 200 with an error\(mask(Self.errorMessage(body)))", retryAfter: nil, blamable: true)
    }
    let usage = TokenUsage(answer: json?["usage"])
    let answer = Result { () throws(Rejection) in
      TimedAnswer(answer: try ChatAnswer(body: body), elapsed: elapsed)
    }
    return .success(
      Paid(usage: usage, answer: answer), tokens: usage.total, money: configuration.prices.cost(of: usage))
  }

  private static func errorMessage(_ body: [UInt8]) -> String {
    guard !body.isEmpty else { return "" }
    let json = try? JSON.parse(body, maximumBytes: body.count)
    let message = json?["error"]?["message"]?.stringValue ?? json?["error"]?.stringValue ?? text(body)
    return ": " + message.prefix(300)
  }

  private static func text(_ body: [UInt8]) -> String {
    String(decoding: body.prefix(Rejection.maximumRawAnswerBytes), as: UTF8.self)
  }

  /// Endpoints like to repeat the key they refuse.
  private func mask(_ text: String) -> String {
    guard let key = configuration.apiKey else { return text }
    var masked = text.split(separator: key, omittingEmptySubsequences: false).joined(separator: "***")
    // "Incorrect API key provided: sk-…abcd": also where a prefix of it is shown.
    if key.count >= 12 {
      masked = masked.split(separator: key.prefix(8), omittingEmptySubsequences: false).joined(separator: "***")
    }
    return masked
  }
}
