import AsyncHTTPClient
import Foundation
import Logging
import NIOCore
import NIOHTTP1
import Serving
import Topics

/// A server on loopback, and requests to it.
struct TestServer: Sendable {
  /// What a request got.
  struct Reply: Sendable {
    let status: UInt
    let headers: HTTPHeaders
    let text: String

    var json: JSON? { try? JSON.parse(text) }
    var sentence: String? { json?["error"]?["message"]?.stringValue }
  }

  let port: Int
  var url: String { "http://127.0.0.1:\(port)" }

  static var logger: Logger {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return logger
  }

  /// Runs `body` while a server runs; then the server must end by itself.
  static func run(
    _ slot: ModelSlot, engine: AnswerEngine.Options = .init(workers: 2), spool: RequestSpool? = nil,
    forwarder: SpoolForwarder? = nil, threshold: Double? = nil, idleTimeout: Duration = .seconds(60),
    shutdownTimeout: Duration = .seconds(10),
    _ body: @escaping @Sendable (TestServer) async throws -> Void
  ) async throws {
    let (ports, ready) = AsyncStream.makeStream(of: Int.self)
    let service = ServingService(
      options: .init(
        port: 0, engine: engine, threshold: threshold, shutdownTimeout: shutdownTimeout, idleTimeout: idleTimeout),
      slot: slot, spool: spool,
      forwarders: forwarder.map { [$0] } ?? [],
      logger: logger,
      onListening: { ready.yield($0) })
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        defer { ready.finish() }
        try await service.run()
      }
      var iterator = ports.makeAsyncIterator()
      guard let port = await iterator.next() else {
        try await group.next()
        return
      }
      try await body(TestServer(port: port))
      group.cancelAll()
      try await group.waitForAll()
    }
  }

  func get(_ path: String) async throws -> Reply { try await send(.GET, path) }

  /// A request without a body.
  func send(_ method: HTTPMethod, _ path: String) async throws -> Reply {
    var request = HTTPClientRequest(url: url + path)
    request.method = method
    return try await send(request)
  }

  func post(_ bytes: [UInt8], headers: [(String, String)] = []) async throws -> Reply {
    var request = HTTPClientRequest(url: url + "/v1/chat/completions")
    request.method = .POST
    for (name, value) in headers { request.headers.add(name: name, value: value) }
    request.body = .bytes(ByteBuffer(bytes: bytes))
    return try await send(request)
  }

  func chat(_ text: String, _ extra: JSONObject = [:], headers: [(String, String)] = []) async throws -> Reply {
    var body: JSONObject = ["messages": [["role": "user", "content": .string(text)]]]
    body.merge(extra)
    return try await post(JSON.object(body).bytes, headers: headers)
  }

  private func send(_ request: HTTPClientRequest) async throws -> Reply {
    let response = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
    let body = try await response.body.collect(upTo: 8 << 20)
    return Reply(status: response.status.code, headers: response.headers, text: String(buffer: body))
  }
}

/// A folder that is gone afterwards.
func withFolder<Value>(_ body: (String) async throws -> Value) async throws -> Value {
  let path = NSTemporaryDirectory() + "/retort-serving-\(UUID().uuidString)"
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: path) }
  return try await body(path)
}
