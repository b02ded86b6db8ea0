import ArgumentParser
import Foundation
import Inference
import Logging
import MessageLog
import Metrics
import RetortClient
import Serving
import StudentModel
import Topics

/// `retort serve`: an OpenAI-compatible server that follows the releases of a model.
struct ServeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Serve a model over HTTP, OpenAI-compatible; swaps to each new release.")

  @OptionGroup var global: GlobalOptions

  @Option(
    name: .long,
    help: ArgumentHelp("Serve the newest release of this model; the configured one by default.", valueName: "name"))
  var model: String?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Serve this file instead, and nothing else; it is mapped, so replace it by renaming, never by writing into it.",
      valueName: "gguf"))
  var file: String?

  @Option(name: .long, help: ArgumentHelp("Port to listen on; 0 takes a free one.", valueName: "port"))
  var port: Int?

  @Option(name: .long, help: ArgumentHelp("Address to listen on.", valueName: "address"))
  var host: String?

  @Flag(name: .long, help: "Append every live request, with its answer, to the topic requests.")
  var logRequests = false

  func run() async throws {
    var overrides: [String: String] = [:]
    if let port { overrides["serve.port"] = String(port) }
    if let host { overrides["serve.host"] = host }
    if let model, file == nil { overrides["model"] = model }
    let wiring = Wiring(try global.configuration(overrides))
    // One thread a request serves more requests than all threads for one; the engine has those that are set.
    KernelPool.setThreads(1)
    let registry = PrometheusRegistry()
    MetricsSystem.bootstrap(registry)
    let logger = Wiring.logger("retort.serve")
    try ConfigurationError.checkIsThere(file, "--file", "a GGUF file")
    let log = file == nil || logRequests ? try wiring.openBareLog() : nil
    do {
      try await serve(wiring, log: log, registry: registry, logger: logger)
    } catch {
      try? await log?.close()
      throw error
    }
    try await log?.close()
  }

  /// How long a server that has a release to go on with waits for the log's first answer, which takes a log that can be reached a
  /// fraction of it.
  private static let firstAnswer = Duration.seconds(2)

  /// Makes the topics that the log lacks. Where it is away a server starts all the same: what it served before is in its folder,
  /// and whatever else needs the log waits for it.
  ///
  /// - Parameter limit: how long the log's first answer is waited for; nil: as long as the log itself waits.
  /// - Returns: whether the log has answered.
  private func makeTopics(
    in log: any MessageLog, _ wiring: Wiring, firstAnswer limit: Duration?, logger: Logger
  ) async throws -> Bool {
    do {
      // A log that answers is not hurried any more: topics may take long to be made, and half of them are of no use.
      if let limit { _ = try await FirstAnswer.of(within: limit) { try await log.topics() } }
      try await wiring.makeTopics(in: log)
      return true
    } catch let error as MessageLogError where error.code == .unavailable {
      logger.warning("the log is away; the server starts without it", metadata: ["reason": "\(error)"])
      return false
    }
  }

  private func serve(
    _ wiring: Wiring, log: (any MessageLog)?, registry: PrometheusRegistry, logger: Logger
  ) async throws {
    let slot = ModelSlot()
    let shared = wiring.sharedWeights
    if let file {
      let model = try ServedModel(file: file, name: model, shared: shared)
      model.logPlacement(logger)
      slot.swap(model)
    }
    let path = wiring.state + "/serve/" + Self.folderName(slot.current?.name ?? wiring.model)
    let folder = try FolderLock.first(of: path)
    if !folder.isSure {
      logger.warning(
        "this file system knows no locks: a second server of this state folder would lose requests; give it a state folder of its own",
        metadata: ["folder": "\(folder.path)"])
    }
    let canGoOn = file == nil && ModelFolder(folder.path).hasAccepted(wiring.model, from: wiring.names.models)
    var firstAnswer = Self.firstAnswer
    if let log,
      try await !makeTopics(in: log, wiring, firstAnswer: canGoOn ? firstAnswer : nil, logger: logger)
    {
      // It has been waited for.
      firstAnswer = .zero
    }
    var spool: RequestSpool?
    var forwarders: [SpoolForwarder] = []
    if logRequests, let log {
      let opened = try RequestSpool(
        folder: folder.path + "/spool", maximumBytes: wiring.configuration.integer("serve.spool_bytes"), logger: logger)
      spool = opened
      forwarders = ([opened] + RequestSpool.left(in: path, logger: logger)).map {
        SpoolForwarder(spool: $0, log: log, names: wiring.names, logger: logger)
      }
    }
    let options = ServingService.Options(
      host: wiring.configuration.text("serve.host"), port: wiring.configuration.integer("serve.port"),
      engine: AnswerEngine.Options(
        workers: wiring.threads, maximumRequests: wiring.configuration.integer("serve.max_concurrent_requests"),
        decoding: wiring.decoding()), threshold: wiring.configuration.optionalNumber("serve.threshold"))
    let service = ServingService(
      options: options, slot: slot,
      follower: try file == nil
        ? log.map {
          try follower(wiring, log: $0, folder: folder, shared: shared, firstAnswer: firstAnswer, logger: logger)
        } : nil,
      spool: spool, forwarders: forwarders, registry: registry, logger: logger,
      onListening: announcement(host: options.host))
    try await service.runUntilSignal()
  }

  private func follower(
    _ wiring: Wiring, log: any MessageLog, folder: FolderLock, shared: SharedWeights?, firstAnswer: Duration,
    logger: Logger
  ) throws -> @Sendable () async throws -> ReleaseFollower {
    // Keys that are configured must be there now; this deployment's own are made with its first release.
    if !wiring.configuration.texts("serve.trusted_keys").isEmpty { _ = try wiring.trustedKeys() }
    return {
      try ReleaseFollower(
        log: log, names: wiring.names, model: wiring.model, keys: try wiring.trustedKeys(),
        folder: ModelFolder(folder.path),
        subscriber: SubscribeCommand.standardName(of: folder.path),
        agent: "retort/\(BuildVersion.text)", logger: logger, shared: shared, firstAnswer: firstAnswer)
    }
  }

  private func announcement(host: String) -> @Sendable (Int) async -> Void {
    let json = global.json
    return { port in
      let shown = host.contains(":") ? "[\(host)]" : host
      Output.note("listening on http://\(shown):\(port)")
      if json { Output.print(["port": .integer(Int64(port)), "url": .string("http://\(shown):\(port)")]) }
    }
  }

  /// A model's name as a folder's: what is not a letter, digit, `.`, `_` or `-` becomes `_`.
  private static func folderName(_ name: String) -> String {
    let safe = name.prefix(100).map { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) ? $0 : "_" }
    return safe.first == "." ? "_" + String(safe) : String(safe)
  }
}
