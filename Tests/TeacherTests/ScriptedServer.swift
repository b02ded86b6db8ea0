import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization
import Topics

/// What the scripted server says.
struct Reply: Sendable {
  var status = 200
  var headers: [String: String] = [:]
  var body: [UInt8]
  var delay = Duration.zero

  init(_ status: Int = 200, _ json: JSON, headers: [String: String] = [:], delay: Duration = .zero) {
    self.status = status
    self.headers = headers
    body = json.bytes
    self.delay = delay
  }

  init(raw: String, status: Int = 200) {
    self.status = status
    body = Array(raw.utf8)
  }

  /// A chat completion that calls functions, each with its arguments as text.
  ///
  /// - Parameter logprobs: the choice's `logprobs`.
  static func calls(
    _ calls: (String, String)..., tokens: (Int64, Int64) = (100, 10), delay: Duration = .zero, logprobs: JSON = nil
  ) -> Reply {
    let list = calls.enumerated().map { index, call -> JSON in
      [
        "id": .string("call_\(index)"), "type": "function",
        "function": ["name": .string(call.0), "arguments": .string(call.1)],
      ]
    }
    return completion(["role": "assistant", "content": nil, "tool_calls": .array(list)], tokens, delay, logprobs)
  }

  /// A chat completion in words.
  static func words(_ text: String) -> Reply {
    completion(["role": "assistant", "content": .string(text)], (100, 10), .zero)
  }

  private static func completion(
    _ message: JSON, _ tokens: (Int64, Int64), _ delay: Duration, _ logprobs: JSON = nil
  ) -> Reply {
    Reply(
      200,
      [
        "choices": [["index": 0, "message": message, "finish_reason": "tool_calls", "logprobs": logprobs]],
        "usage": ["prompt_tokens": .integer(tokens.0), "completion_tokens": .integer(tokens.1)],
      ], delay: delay)
  }
}

/// A request as the scripted server saw it.
struct Seen: Sendable {
  let number: Int
  let path: String
  let method: String
  let body: JSON
  let authorization: String?
  let retryCount: String?

  /// The last thing the user said.
  var said: String { messages.last { $0["role"] == "user" }?["content"]?.stringValue ?? "" }
  var messages: [JSON] { body["messages"]?.arrayValue ?? [] }
  /// The results of lookups so far.
  var results: [String] {
    messages.filter { $0["role"] == "tool" }.compactMap { $0["content"]?.stringValue }
  }
}

/// A loopback HTTP server that answers by a closure and remembers what it saw.
final class ScriptedServer: Sendable {
  private let script: @Sendable (Seen) async -> Reply
  private let log = Mutex<[Seen]>([])
  private let gauge = Mutex((now: 0, most: 0))

  init(_ script: @escaping @Sendable (Seen) async -> Reply) { self.script = script }

  var seen: [Seen] { log.withLock { $0 } }
  /// The most requests that were in flight at one time.
  var mostInFlight: Int { gauge.withLock { $0.most } }

  /// Waits until it has seen so many requests, at a path where one is given, for at most a minute; whether it has.
  func sees(_ count: Int, at path: String? = nil) async throws -> Bool {
    for _ in 0..<12_000 {
      if seen.count(where: { path == nil || $0.path == path }) >= count { return true }
      try await Task.sleep(for: .milliseconds(5))
    }
    return false
  }

  /// Runs `body` with the server's base URL.
  static func run<Value: Sendable>(
    _ script: @escaping @Sendable (Seen) async -> Reply,
    body: @Sendable (String, ScriptedServer) async throws -> Value
  ) async throws -> Value {
    let server = ScriptedServer(script)
    return try await server.serve { try await body($0, server) }
  }

  private func serve<Value: Sendable>(_ body: @Sendable (String) async throws -> Value) async throws -> Value {
    let (addresses, ready) = AsyncStream.makeStream(of: String.self)
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let router = Router()
    router.on("**", method: .post) { request, _ in try await self.answer(request) }
    router.on("**", method: .get) { request, _ in try await self.answer(request) }
    let application = Application(
      router: router, configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0)),
      onServerRunning: { channel in ready.yield("http://127.0.0.1:\(channel.localAddress?.port ?? 0)") }, logger: logger
    )
    var configuration = ServiceGroupConfiguration(services: [.init(service: application)], logger: logger)
    configuration.maximumGracefulShutdownDuration = .seconds(5)
    let group = ServiceGroup(configuration: configuration)
    // Ended gracefully: a cancelled server ends the process when a connection has just been accepted.
    let running = Task { try await group.run() }
    var iterator = addresses.makeAsyncIterator()
    let address = await iterator.next() ?? ""
    let result: Result<Value, any Error>
    do { result = .success(try await body(address)) } catch { result = .failure(error) }
    await group.triggerGracefulShutdown()
    _ = try? await running.value
    return try result.get()
  }

  private func answer(_ original: Request) async throws -> Response {
    var request = original
    let buffer = try await request.collectBody(upTo: 16 << 20)
    let retry = HTTPField.Name("x-stainless-retry-count").flatMap { original.headers[$0] }
    let seen = log.withLock { log in
      let seen = Seen(
        number: log.count, path: original.uri.string, method: original.method.rawValue,
        body: (try? JSON.parse(Array(buffer.readableBytesView))) ?? .null,
        authorization: original.headers[.authorization], retryCount: retry)
      log.append(seen)
      return seen
    }
    gauge.withLock {
      $0.now += 1
      $0.most = max($0.most, $0.now)
    }
    let reply = await script(seen)
    if reply.delay > .zero { try? await Task.sleep(for: reply.delay) }
    gauge.withLock { $0.now -= 1 }
    var headers: HTTPFields = [.contentType: "application/json"]
    for (name, value) in reply.headers {
      if let name = HTTPField.Name(name) { headers[name] = value }
    }
    return Response(
      status: .init(code: reply.status), headers: headers,
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: reply.body)))
  }
}
