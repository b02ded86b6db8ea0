import Hummingbird
public import Logging
import ServiceLifecycle

/// `/metrics` and `/healthz` over HTTP, for processes that serve nothing else.
public struct MetricsServer: Sendable {
  private let host: String
  private let port: Int
  private let registry: PrometheusRegistry
  private let logger: Logger

  /// A server of what a registry holds; port 0 takes a free one.
  public init(host: String, port: Int, registry: PrometheusRegistry, logger: Logger) {
    self.host = host
    self.port = port
    self.registry = registry
    self.logger = logger
  }

  /// Serves while `body` runs.
  ///
  /// - Parameter onListening: called once, with the port.
  /// - Throws: ``ServingError`` `address` when the port cannot be opened, and what `body` throws.
  public func whileServing(
    onListening: @Sendable (Int) -> Void = { _ in }, _ body: () async throws -> Void
  ) async throws {
    let (listening, signal) = AsyncThrowingStream<Int, any Error>.makeStream()
    let group = ServiceGroup(services: [application { signal.yield($0) }], logger: quiet)
    // Shut down, not cancelled: see ServingService.
    let serving = Task {
      do {
        try await group.run()
        signal.finish()
      } catch {
        signal.finish(throwing: error)
      }
    }
    do {
      for try await port in listening {
        onListening(port)
        break
      }
    } catch {
      throw ServingError(.address, "\(host):\(port): cannot be listened on (\(error)); choose another metrics.port.")
    }
    do {
      try await body()
    } catch {
      await end(group, serving)
      throw error
    }
    await end(group, serving)
  }

  private func end(_ group: ServiceGroup, _ serving: Task<Void, Never>) async {
    await group.triggerGracefulShutdown()
    await serving.value
  }

  private var quiet: Logger {
    var quiet = logger
    quiet.logLevel = max(logger.logLevel, .warning)
    return quiet
  }

  private func application(_ announce: @escaping @Sendable (Int) -> Void) -> some ApplicationProtocol {
    let (registry, port) = (registry, port)
    return Application(
      responder: CallbackResponder<BasicRequestContext> { request, _ in
        let reply =
          switch (request.method, request.uri.path) {
          case (.get, "/metrics"), (.head, "/metrics"):
            HTTPReplies.text(registry.text, type: "text/plain; version=0.0.4; charset=utf-8")
          case (.get, "/healthz"), (.head, "/healthz"): HTTPReplies.text("ok\n", type: "text/plain; charset=utf-8")
          case (.get, _), (.head, _): HTTPReplies.error(ServingError(.notFound, "There is nothing here."), [:])
          default: HTTPReplies.error(ServingError(.methodNotAllowed, "Expected GET or HEAD."), [.allow: "GET, HEAD"])
          }
        return request.method == .head ? reply.createHeadResponse() : reply
      },
      server: ConnectionLimits.server(idleTimeout: .seconds(60)),
      configuration: ApplicationConfiguration(
        address: .hostname(host, port: port), serverName: "retort",
        availableConnectionsDelegate: ConnectionLimits.available),
      onServerRunning: { channel in announce(channel.localAddress?.port ?? port) }, logger: quiet)
  }
}
