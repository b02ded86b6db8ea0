internal import HTTPTypes
internal import Hummingbird
public import Logging
internal import NIOCore
internal import ServiceLifecycle
internal import Synchronization
internal import Topics

/// The demo's teacher: an HTTP server on loopback that speaks the OpenAI protocol and answers from the grammar.
///
/// It is no language model, and says so: its model and producer name is `stand-in-teacher`. It looks devices up
/// before some answers and misbehaves at stated rates. It keeps nothing between requests but counters, so an answer
/// depends only on the request, the seed, and the header `x-stainless-retry-count`, and a restart changes nothing.
///
/// Beside `/v1/chat/completions` and `/v1/models` it serves `/lookup/find_devices` (the lookup function's HTTP
/// binding) and `/verify` (the verifier, which executes calls on the home).
public final class StandInTeacher: Sendable {
  /// The model's name, and the producer of its labels.
  public static let model = StandInAnswers.model

  private static let maximumBodyBytes = 4 << 20

  private let home: Home
  private let answers: StandInAnswers
  private let logger: Logger
  private let counters = Mutex(StandInStatistics())

  /// A teacher for a home.
  ///
  /// - Parameters:
  ///   - seed: decides which texts meet which fault.
  ///   - logger: gets the server's errors; quiet below warnings.
  public init(home: Home = .standard, faults: FaultRates = FaultRates(), seed: UInt64 = 0, logger: Logger? = nil) {
    self.home = home
    answers = StandInAnswers(plan: FaultPlan(rates: faults, seed: seed))
    var quiet = Logger(label: "retort.demo.teacher")
    quiet.logLevel = .warning
    self.logger = logger ?? quiet
  }

  /// Counters since the start.
  public var statistics: StandInStatistics { counters.withLock { $0 } }

  /// Serves on 127.0.0.1 until the task is cancelled or its service group shuts down.
  ///
  /// Either ends the server gracefully: requests that have begun get their answer, for at most two seconds.
  ///
  /// - Parameters:
  ///   - port: 0 for any free port.
  ///   - onReady: called once with the base URL, such as `http://127.0.0.1:40123`, when the port is open.
  /// - Throws: what the system says when the port cannot be opened.
  public func run(port: Int = 0, onReady: @escaping @Sendable (String) async -> Void) async throws {
    let application = Application(
      router: router(),
      configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: port), serverName: "stand-in"),
      onServerRunning: { channel in
        if let port = channel.localAddress?.port { await onReady("http://127.0.0.1:\(port)") }
      }, logger: logger)
    var configuration = ServiceGroupConfiguration(services: [.init(service: application)], logger: logger)
    configuration.maximumGracefulShutdownDuration = .seconds(2)
    let group = ServiceGroup(configuration: configuration)
    // A server that is cancelled drops connections it has just accepted, which NIO takes for a programming error
    // and ends the process. So cancellation becomes a graceful shutdown, and the server runs in a task of its own.
    let server = Task { try await group.run() }
    try await withTaskCancellationOrGracefulShutdownHandler {
      try await server.value
    } onCancelOrGracefulShutdown: {
      Task { await group.triggerGracefulShutdown() }
    }
  }

  /// Runs `body` while the server runs, with its base URL.
  ///
  /// - Throws: what `body` throws, or the system when no port can be opened.
  public func whileRunning<Value: Sendable>(_ body: @Sendable (String) async throws -> Value) async throws -> Value {
    let (addresses, ready) = AsyncStream.makeStream(of: String.self)
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        defer { ready.finish() }
        try await self.run { ready.yield($0) }
      }
      var iterator = addresses.makeAsyncIterator()
      guard let address = await iterator.next() else {
        try await group.next()
        throw CancellationError()
      }
      let value = try await body(address)
      group.cancelAll()
      return value
    }
  }

  private func router() -> Router<BasicRequestContext> {
    let router = Router()
    router.post("/v1/chat/completions") { request, _ in try await self.complete(request) }
    router.get("/v1/models") { _, _ in
      Self.response(200, ["object": "list", "data": [["id": .string(Self.model), "object": "model"]]])
    }
    router.post("/lookup/find_devices") { request, _ in try await self.findDevices(request) }
    router.post("/verify") { request, _ in try await self.verify(request) }
    return router
  }

  private func complete(_ request: Request) async throws -> Response {
    guard let body = try await Self.body(of: request) else {
      return Self.response(answers.failure(400, "the body is no JSON"))
    }
    let attempt = HTTPField.Name("x-stainless-retry-count").flatMap { request.headers[$0] }.flatMap { Int($0) } ?? 0
    let answer = answers.answer(to: body, attempt: attempt)
    count(answer)
    if let delay = answer.delay { try await Task.sleep(for: delay) }
    return Self.response(answer)
  }

  private func count(_ answer: StandInAnswers.Answer) {
    counters.withLock {
      $0.requests += 1
      $0.lookupTurns += answer.isLookup ? 1 : 0
      switch answer.fault {
      case .wrong: $0.wrong += 1
      case .malformed: $0.malformed += 1
      case .slow: $0.slow += 1
      case .rateLimited: $0.rateLimited += answer.status == 429 ? 1 : 0
      case nil: break
      }
    }
  }

  private func findDevices(_ request: Request) async throws -> Response {
    guard let room = try await Self.body(of: request)?["room"]?.stringValue else {
      return Self.response(answers.failure(400, "room is required"))
    }
    counters.withLock { $0.lookups += 1 }
    return Self.response(200, home.devices(in: room))
  }

  private func verify(_ request: Request) async throws -> Response {
    guard let question = try await Self.body(of: request), let call = question["call"].flatMap({ try? Call(json: $0) }),
      let messages = question["request"]?["messages"]?.arrayValue,
      let text = messages.last(where: { $0["role"] == "user" })?["content"]?.stringValue
    else { return Self.response(answers.failure(400, "request and call are required")) }
    counters.withLock { $0.verifications += 1 }
    let objection = home.objection(to: call, for: text)
    return Self.response(200, ["accepted": .bool(objection == nil), "reason": .string(objection ?? "the home did it")])
  }

  private static func body(of request: Request) async throws -> JSON? {
    var request = request
    let buffer = try await request.collectBody(upTo: maximumBodyBytes)
    return try? JSON.parse(Array(buffer.readableBytesView))
  }

  private static func response(_ status: Int, _ json: JSON) -> Response {
    response(StandInAnswers.Answer(status: status, body: json.bytes))
  }

  private static func response(_ answer: StandInAnswers.Answer) -> Response {
    var headers: HTTPFields = [.contentType: "application/json"]
    if let seconds = answer.retryAfter { headers[.retryAfter] = String(seconds) }
    return Response(
      status: HTTPResponse.Status(code: answer.status), headers: headers,
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: answer.body)))
  }
}
