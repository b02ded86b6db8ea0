internal import AsyncHTTPClient
#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// Sends one HTTP request and brings back a bounded answer: no redirects, no retries of its own.
package struct HTTPTransport: Sendable {
  /// What came back.
  package enum Result: Sendable {
    case answer(status: Int, retryAfter: String?, body: [UInt8])
    case tooLarge(status: Int)
    case timedOut
    case failed(String)
  }

  /// Owns the client, which must be shut down also when a teacher's initializer throws half-way.
  private final class Connections: Sendable {
    let client: HTTPClient

    init(_ client: HTTPClient) { self.client = client }

    // Shutting down twice is an error that the callback may ignore.
    deinit { client.shutdown { _ in } }
  }

  private let connections: Connections

  package init(maximumConnections: Int) {
    var configuration = HTTPClient.Configuration()
    configuration.redirectConfiguration = .disallow
    configuration.timeout = .init(connect: .seconds(10))
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = maximumConnections
    // The breaker decides about an endpoint that cannot be reached; a hidden retry would only delay it.
    configuration.connectionPool.retryConnectionEstablishment = false
    connections = Connections(HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration))
  }

  package func shutdown() async { try? await connections.client.shutdown() }

  /// Sends a request.
  ///
  /// - Parameters:
  ///   - body: JSON bytes, or nil for none.
  ///   - timeout: for everything, from the connection to the last byte.
  ///   - maximumBytes: the largest body accepted.
  package func send(
    method: String, url: String, headers: [(String, String)], body: [UInt8]?, timeout: Duration, maximumBytes: Int
  ) async -> Result {
    var request = HTTPClientRequest(url: url)
    request.method = HTTPMethod(rawValue: method)
    request.headers.add(name: "accept", value: "application/json")
    request.headers.add(name: "user-agent", value: "retort")
    if let body {
      request.headers.add(name: "content-type", value: "application/json")
      request.body = .bytes(ByteBuffer(bytes: body))
    }
    for (name, value) in headers { request.headers.replaceOrAdd(name: name, value: value) }
    let outgoing = request
    let result = await withTimeout(timeout) { await exchange(outgoing, timeout, maximumBytes) }
    return result ?? .timedOut
  }

  private func exchange(_ request: HTTPClientRequest, _ timeout: Duration, _ maximumBytes: Int) async -> Result {
    do {
      let response = try await connections.client.execute(request, timeout: .nanoseconds(timeout.wholeNanoseconds))
      let status = Int(response.status.code)
      let retryAfter = response.headers.first(name: "retry-after")
      if let length = response.headers.first(name: "content-length").flatMap({ Int($0) }), length > maximumBytes {
        return .tooLarge(status: status)
      }
      var bytes: [UInt8] = []
      for try await part in response.body {
        guard bytes.count + part.readableBytes <= maximumBytes else { return .tooLarge(status: status) }
        bytes.append(contentsOf: part.readableBytesView)
      }
      return .answer(status: status, retryAfter: retryAfter, body: bytes)
    } catch let error as HTTPClientError
      where error == .deadlineExceeded || error == .readTimeout || error == .writeTimeout
    {
      return .timedOut
    } catch {
      return .failed(Self.shorten(error))
    }
  }

  /// An error's first words; addresses and bodies are not repeated at length.
  private static func shorten(_ error: any Error) -> String {
    let text = (error as? HTTPClientError)?.shortDescription ?? String(describing: error)
    return String(text.prefix(200))
  }

  /// Whether `url` is an absolute http or https URL with a host and without user information.
  package static func isUsable(_ url: String) -> Bool {
    guard let parts = URLComponents(string: url), let scheme = parts.scheme?.lowercased(),
      scheme == "http" || scheme == "https", let host = parts.host, !host.isEmpty, parts.user == nil
    else { return false }
    return true
  }

  /// What a message says of a URL that is not usable: user information is a secret.
  static func shown(_ url: String) -> String { url.contains("@") ? "a URL with user information" : url }
}

/// Runs `body` for at most `limit`; nil when time ran out (the body is cancelled then).
package func withTimeout<Value: Sendable>(
  _ limit: Duration, _ body: @escaping @Sendable () async -> Value
) async -> Value? {
  await withTaskGroup(of: Value?.self) { group in
    group.addTask { await body() }
    group.addTask {
      try? await Task.sleep(for: limit)
      return nil
    }
    let first = await group.next() ?? nil
    group.cancelAll()
    return first
  }
}

extension Duration {
  /// Whole nanoseconds, saturating.
  package var wholeNanoseconds: Int64 {
    let (seconds, overflow) = components.seconds.multipliedReportingOverflow(by: 1_000_000_000)
    return overflow ? .max : seconds + components.attoseconds / 1_000_000_000
  }
}
