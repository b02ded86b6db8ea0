import Foundation
import HTTPTypes
import Hummingbird
import Inference
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization
import Topics

/// The HTTP API: what each route answers.
final class ChatServer: Sendable {
  private let slot: ModelSlot
  private let engine: AnswerEngine
  private let threshold: Double?
  /// How long a body may take, so that nobody holds a connection and its memory with a byte now and then.
  private let bodyTimeout: Duration
  private let spool: RequestSpool?
  /// What other servers have left, which this one forwards as well.
  private let leftSpools: [RequestSpool]
  private let metrics: ServingMetrics
  private let logger: Logger
  private let shown = Mutex(RequestSpool.Figures())

  init(
    slot: ModelSlot, engine: AnswerEngine, threshold: Double?, bodyTimeout: Duration, spool: RequestSpool?,
    leftSpools: [RequestSpool], metrics: ServingMetrics, logger: Logger
  ) {
    self.slot = slot
    self.engine = engine
    self.threshold = threshold
    self.bodyTimeout = bodyTimeout
    self.spool = spool
    self.leftSpools = leftSpools
    self.metrics = metrics
    self.logger = logger
  }

  /// Answers a request; never throws but for a connection that is gone.
  func respond(to request: Request) async throws -> Response {
    let id = Self.requestID(of: request)
    var headers: HTTPFields = [:]
    if let name = Self.requestIDName { headers[name] = id }
    let route = Self.route(of: request)
    var response: Response
    do {
      guard route == .other || route.methods.contains(request.method) else {
        headers[.allow] = route.methods.map(\.rawValue).joined(separator: ", ")
        throw ServingError(
          .methodNotAllowed, "\(request.method.rawValue) \(request.uri.path): expected \(headers[.allow] ?? "").")
      }
      response = try await reply(to: request, route, id: id, headers)
    } catch let error as ServingError {
      if error.code == .failed { logger.error("\(error)") }
      response = HTTPReplies.error(error, headers)
    } catch is CancellationError {
      response = HTTPReplies.error(ServingError(.stopping, "The server is shutting down; ask another one."), headers)
    }
    metrics.count(route: route.rawValue, status: response.status.code)
    // The connection ends behind this answer: a client must not send its next request on it.
    if Task.isShuttingDownGracefully || response.status == .requestTimeout { response.headers[.connection] = "close" }
    // The headers of the answer to GET, without its body.
    return request.method == .head ? response.createHeadResponse() : response
  }

  // MARK: Routes

  /// The routes; raw values are metric labels.
  enum Route: String {
    case page, chat, models, model, status, healthz, readyz, metrics, other

    /// What may be asked of it.
    var methods: [HTTPRequest.Method] { self == .chat ? [.post] : [.get, .head] }
  }

  private static func route(of request: Request) -> Route {
    switch request.uri.path {
    case "/": .page
    case "/v1/chat/completions": .chat
    case "/v1/models": .models
    case let path where path.hasPrefix("/v1/models/"): .model
    case "/status": .status
    case "/healthz": .healthz
    case "/readyz": .readyz
    case "/metrics": .metrics
    default: .other
    }
  }

  private func reply(to request: Request, _ route: Route, id: String, _ headers: HTTPFields) async throws -> Response {
    switch route {
    case .page: return LivePage.reply
    case .chat: return try await chat(request, id: id, headers)
    case .models: return HTTPReplies.json(.ok, ["object": "list", "data": .array(models)])
    case .model:
      let name = request.uri.path.dropFirst("/v1/models/".count)
      guard let model = models.first(where: { $0["id"]?.stringValue == name.removingPercentEncoding }) else {
        throw ServingError(.modelNotFound, "The model \(name.prefix(100).debugDescription) is not served here.")
      }
      return HTTPReplies.json(.ok, model)
    case .status: return HTTPReplies.json(.ok, status, [.cacheControl: "no-store"])
    case .healthz: return HTTPReplies.text("ok\n", type: "text/plain; charset=utf-8")
    case .readyz:
      guard let model = slot.current else { throw unready }
      return HTTPReplies.json(.ok, ["ready": true, "model": .string(model.name), "version": Self.version(of: model)])
    case .metrics: return HTTPReplies.text(metricsText(), type: "text/plain; version=0.0.4; charset=utf-8")
    case .other:
      throw ServingError(
        .notFound, "\(request.method.rawValue) \(request.uri.path.prefix(200)): there is nothing here.")
    }
  }

  /// Why there is no model.
  private var unready: ServingError {
    slot.problem.map { ServingError(.notReady, "No model is served yet: \($0)") } ?? Self.notReady
  }

  private static let notReady = ServingError(.notReady, "No model has been released yet; try again in two seconds.")

  private static func version(of model: ServedModel) -> JSON { model.version.map { .integer(Int64($0)) } ?? .null }

  private var models: [JSON] {
    (slot.current.map { [$0] } ?? []).map { model in
      [
        "id": .string(model.name), "object": "model", "created": .integer(0), "owned_by": "retort",
        "retort": [
          "version": Self.version(of: model), "epoch": model.epoch.map { .integer($0) } ?? .null,
          "sha256": .string(model.digest.hex), "bytes": .integer(Int64(model.model.byteCount)),
        ],
      ]
    }
  }

  /// What the page at `/` shows: what is served, and what the metrics say.
  private var status: JSON {
    let placed = slot.placed
    let model = placed?.model
    let problem = model == nil ? unready.description : slot.problem
    var status: JSONObject = [
      "ready": .bool(model != nil), "problem": problem.map { .string($0) } ?? .null,
      "model": model.map { .string($0.name) } ?? .null, "version": model.map(Self.version) ?? .null,
      "epoch": model?.epoch.map { .integer($0) } ?? .null, "sha256": model.map { .string($0.digest.hex) } ?? .null,
      "since": placed.map { .string(RFC3339.text(milliseconds: $0.since)) } ?? .null,
    ]
    status.merge(metrics.summary)
    status["in_flight"] = .integer(Int64(engine.requestsInFlight))
    status["maximum_in_flight"] = .integer(Int64(engine.maximumRequests))
    status["spool"] =
      spooled.map {
        ["records": .integer(Int64($0.records)), "dropped": .integer(Int64($0.dropped))]
      } ?? .null
    return .object(status)
  }

  /// What waits on this disk and did, of all that this server forwards; nil where nothing is recorded.
  private var spooled: RequestSpool.Figures? {
    spool.map { own in leftSpools.reduce(own.figures) { $0 + $1.figures } }
  }

  private func metricsText() -> String {
    metrics.show(requestsInFlight: engine.requestsInFlight)
    shown.withLock { last in
      if let now = spooled {
        metrics.show(spool: now, since: last)
        last = now
      }
    }
    return metrics.registry.text
  }

  // MARK: Chat

  private func chat(_ request: Request, id: String, _ headers: HTTPFields) async throws -> Response {
    let bytes = try await Self.body(of: request, within: bodyTimeout)
    let start = ContinuousClock.now
    guard let model = slot.current else { throw Self.notReady }
    let chat = try ChatRequest(bytes: bytes)
    let scope = try chat.scope(in: model)
    let (answer, isAmongAll) = try await self.answer(chat, within: scope, by: model)
    let milliseconds = Int64(Date().timeIntervalSince1970 * 1_000)
    let completion = ChatCompletion(
      answer: answer, model: model, threshold: threshold ?? model.threshold,
      isWithinTheModel: scope.isWithinTheModel && isAmongAll, seconds: milliseconds / 1_000)
    metrics.answered(answer, escalates: completion.escalates, in: ContinuousClock.now - start)
    var headers = headers
    for (name, value) in completion.headers { headers[name] = value }
    // The topic keeps what was asked, and neither what may be called nor whether anything is wanted: whoever labels it would have to
    // call something, also behind the result of a call, where the client wants words.
    if scope.functions?.isEmpty != true, chat.endsWithUser {
      record(chat, completion, id: id, traceparent: Self.traceparent(of: request), milliseconds: milliseconds)
    }
    return chat.streams
      ? HTTPReplies.events(completion.chunks(includingUsage: chat.includesUsage), headers)
      : HTTPReplies.json(.ok, completion.json, headers)
  }

  /// What the model says, and whether a threshold, which is of answers among all functions, says whether it is sure enough.
  ///
  /// Where a request leaves functions out, the best answer among all is asked for: mostly it calls none of those, and so is the best
  /// among the others, too. Else these are asked for by themselves; of what is left even the only one is sure, right or wrong.
  private func answer(
    _ chat: ChatRequest, within scope: ChatRequest.Scope, by model: ServedModel
  ) async throws -> (Answer, isAmongAll: Bool) {
    // What is escalated anyway is not asked for twice.
    if scope.leavesOut, scope.isWithinTheModel {
      let answer = try await engine.answer(chat.messages, with: model)
      if let call = answer.call, scope.functions?.contains(call.name) != false { return (answer, true) }
    }
    let answer = try await engine.answer(chat.messages, with: model, functions: scope.functions)
    return (answer, !scope.leavesOut)
  }

  private func record(
    _ chat: ChatRequest, _ completion: ChatCompletion, id: String, traceparent: String?, milliseconds: Int64
  ) {
    guard let spool else { return }
    let call = completion.answer.call
    var metadata: JSONObject = ["confidence": .number(completion.answer.confidence)]
    // The forwarder makes it a header. In the record, so that servers of other builds read what this one leaves in its spool.
    if let traceparent { metadata[RecordHeaders.traceparent] = .string(traceparent) }
    let response = RequestResponse(
      producer: completion.model.producer, call: call, message: call == nil ? completion.message : nil)
    spool.append(
      RequestRecord(
        id: id, messages: chat.messages, response: response, metadata: metadata,
        time: RFC3339.text(milliseconds: milliseconds)))
  }

  private static func body(of request: Request, within bodyTimeout: Duration) async throws -> [UInt8] {
    let limit = ChatRequest.maximumBytes
    let tooLarge = ServingError(
      .tooLarge, "The body: expected at most \(limit) bytes, found more; shorten the request.")
    if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit { throw tooLarge }
    do {
      return try await withThrowingTaskGroup(of: [UInt8]?.self) { group in
        group.addTask { Array(try await request.body.collect(upTo: limit).readableBytesView) }
        group.addTask {
          try await Task.sleep(for: bodyTimeout)
          return nil
        }
        defer { group.cancelAll() }
        guard let bytes = try await group.next() ?? nil else {
          throw ServingError(
            .tooSlow, "The body: expected all of it within \(bodyTimeout); send it at once.")
        }
        return bytes
      }
    } catch is NIOTooManyBytesError {
      throw tooLarge
    }
  }

  /// The caller's W3C trace context; nil where there is none, or more than one, or it is not of that form.
  private static func traceparent(of request: Request) -> String? {
    HTTPField.Name(RecordHeaders.traceparent).flatMap { request.headers[$0] }.flatMap { TraceContext.valid($0) }
  }

  // MARK: Request ids

  private static let requestIDName = HTTPField.Name("X-Request-Id")

  /// The client's id where it is 1 to 128 of `A-Z a-z 0-9 . _ : -`, else a new one.
  private static func requestID(of request: Request) -> String {
    if let name = requestIDName, let given = request.headers[name], (1...128).contains(given.utf8.count),
      given.utf8.allSatisfy({ isSane($0) })
    {
      return given
    }
    return "req-" + ChatCompletion.randomName()
  }

  private static func isSane(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x3A, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
    default: false
    }
  }
}
