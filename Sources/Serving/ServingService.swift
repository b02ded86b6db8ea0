import Foundation
import Hummingbird
public import Logging
import NIOCore
public import RetortClient
public import ServiceLifecycle
import UnixSignals

/// A server process as one service: HTTP, the releases that are followed, the spool that is forwarded.
///
/// A graceful shutdown first lets HTTP finish the requests under way, then stops following, then forwards what is in the spool as
/// far as the log allows, which is not waited for when it takes nothing for two seconds; what is left is forwarded after the next start
/// (``RequestSpool/left(in:logger:)``). A cancellation does the same.
public struct ServingService: Service {
  /// Where and how to serve.
  public struct Options: Sendable {
    /// The address to listen on; default 127.0.0.1.
    public var host: String
    /// The port; 0 takes a free one. Default 8080.
    public var port: Int
    /// How many requests at once.
    public var engine: AnswerEngine.Options
    /// The longest that a graceful shutdown may take; default 10 s.
    public var shutdownTimeout: Duration
    /// Below which confidence an answer says to escalate, 0 to 1; nil (default): the threshold of the release.
    public var threshold: Double?
    /// How long a connection may send nothing while it waits for no answer, and a body may take; default 75 s. Longer than the 60 s for which
    /// balancers keep connections by default: they must be the ones who close, or they send requests on what is being closed.
    public var idleTimeout: Duration

    /// Options.
    public init(
      host: String = "127.0.0.1", port: Int = 8_080, engine: AnswerEngine.Options, threshold: Double? = nil,
      shutdownTimeout: Duration = .seconds(10), idleTimeout: Duration = .seconds(75)
    ) {
      self.threshold = threshold
      self.host = host
      self.port = port
      self.engine = engine
      self.shutdownTimeout = shutdownTimeout
      self.idleTimeout = idleTimeout
    }
  }

  private let options: Options
  private let slot: ModelSlot
  private let follower: (@Sendable () async throws -> ReleaseFollower)?
  private let spool: RequestSpool?
  private let forwarders: [SpoolForwarder]
  private let registry: PrometheusRegistry
  private let logger: Logger
  private let onListening: @Sendable (Int) async -> Void

  /// A server.
  ///
  /// - Parameters:
  ///   - slot: the model to begin with, or empty.
  ///   - follower: opens the follower of releases; tried again until it succeeds. nil: the model stays as it is.
  ///   - spool: where live requests are recorded; nil: they are not.
  ///   - forwarders: what empties the spool, and those that other servers have left.
  ///   - registry: what `/metrics` shows.
  ///   - onListening: called once, with the port.
  public init(
    options: Options, slot: ModelSlot, follower: (@Sendable () async throws -> ReleaseFollower)? = nil,
    spool: RequestSpool? = nil, forwarders: [SpoolForwarder] = [], registry: PrometheusRegistry = PrometheusRegistry(),
    logger: Logger, onListening: @escaping @Sendable (Int) async -> Void = { _ in }
  ) {
    self.options = options
    self.slot = slot
    self.follower = follower
    self.spool = spool
    self.forwarders = forwarders
    self.registry = registry
    self.logger = logger
    self.onListening = onListening
  }

  /// Serves until the service group shuts down or the task is cancelled.
  ///
  /// - Throws: ``ServingError`` `address` when the port cannot be opened.
  public func run() async throws { try await run(stoppingOn: []) }

  /// Serves until the process is told to stop by SIGTERM or SIGINT.
  ///
  /// - Throws: as ``run()``.
  public func runUntilSignal() async throws { try await run(stoppingOn: [.sigterm, .sigint]) }

  private func run(stoppingOn signals: [UnixSignal]) async throws {
    let engine = AnswerEngine(slot: slot, options: options.engine)
    defer { engine.stop() }
    let metrics = ServingMetrics(registry)
    if let model = slot.current { metrics.swapped(to: model) }
    // Shut down from the last to the first.
    var services: [any Service] = forwarders
    if let follower {
      services.append(
        FollowerService(open: follower, slot: slot, engine: engine, metrics: metrics, logger: logger))
    }
    services.append(application(engine, metrics))
    var configuration = ServiceGroupConfiguration(
      services: services.map { .init(service: $0) }, gracefulShutdownSignals: signals, logger: quietLogger)
    configuration.maximumGracefulShutdownDuration = options.shutdownTimeout
    let group = ServiceGroup(configuration: configuration)
    // A server whose task is cancelled drops connections it has just accepted, which NIO takes for a programming error and ends the
    // process. So a cancellation becomes a graceful shutdown, and the server runs in a task of its own.
    let serving = Task { try await group.run() }
    try await withTaskCancellationOrGracefulShutdownHandler {
      do {
        try await serving.value
      } catch let error as IOError {
        let reason = String(cString: strerror(error.errnoCode))
        throw ServingError(
          .address,
          "\(options.host):\(options.port): cannot be listened on (\(reason)); choose another port or address, or stop who has it."
        )
      } catch let error where error is SocketAddressError || error is SocketAddressError.UnknownHost {
        throw ServingError(
          .address, "\(options.host): expected an address of this machine, found none of that name; correct it.")
      }
    } onCancelOrGracefulShutdown: {
      Task { await group.triggerGracefulShutdown() }
    }
  }

  /// Hummingbird and the service group say nothing below warnings.
  private var quietLogger: Logger {
    var quiet = logger
    quiet.logLevel = max(logger.logLevel, .warning)
    return quiet
  }

  private func application(_ engine: AnswerEngine, _ metrics: ServingMetrics) -> some ApplicationProtocol {
    let server = ChatServer(
      slot: slot, engine: engine, threshold: options.threshold, bodyTimeout: options.idleTimeout, spool: spool,
      leftSpools: forwarders.map(\.spool).filter { $0 !== spool }, metrics: metrics, logger: logger)
    let (announce, port) = (onListening, options.port)
    return Application(
      responder: CallbackResponder<BasicRequestContext> { request, _ in try await server.respond(to: request) },
      server: ConnectionLimits.server(idleTimeout: options.idleTimeout),
      configuration: ApplicationConfiguration(
        address: .hostname(options.host, port: port), serverName: "retort",
        availableConnectionsDelegate: ConnectionLimits.available),
      onServerRunning: { channel in await announce(channel.localAddress?.port ?? port) }, logger: quietLogger)
  }
}
