import ArgumentParser
import Foundation
import Logging
import MessageLog
import Pipeline
import RetortClient
import Topics

/// `retort subscribe`: keeps a folder on the newest promoted release.
struct SubscribeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "subscribe", abstract: "Keep DIR/current on the newest promoted release.")

  @OptionGroup var global: GlobalOptions

  @Option(name: .long, help: ArgumentHelp("The model's name; that of the configuration by default.", valueName: "name"))
  var model: String?

  @Option(name: .long, help: ArgumentHelp("The folder; `current` in it is a link to the release.", valueName: "dir"))
  var dir: String

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Run by /bin/sh after each switch, with RETORT_MODEL_DIR and RETORT_MODEL_VERSION.", valueName: "cmd"))
  var exec: String?

  @Flag(name: .long, help: "End after the release that is deployed now; exit status 1 where there is none.")
  var once = false

  @Option(
    name: .long,
    help: ArgumentHelp("This subscriber's name on adoptions; host and folder by default.", valueName: "name"))
  var name: String?

  func run() async throws {
    let wiring = Wiring(try global.configuration())
    let log = try await wiring.openLog()
    let logger = Wiring.logger("retort.subscribe")
    if once || !wiring.configuration.texts("serve.trusted_keys").isEmpty { _ = try wiring.trustedKeys() }
    let service = StageService(name: "subscribe", isLast: true) { [self] in
      try await waitForKey(wiring, logger)
      let folder = ModelFolder(dir)
      let follower = try ReleaseFollower(
        log: log, names: wiring.names, model: model ?? wiring.model, keys: try wiring.trustedKeys(), folder: folder,
        subscriber: name ?? Self.standardName(of: dir), agent: "retort/\(BuildVersion.text)", logger: logger)
      do {
        let subscriber = Subscriber(follower: follower, folder: folder, command: exec, logger: logger)
        repeat {
          try report(try await subscriber.adoptNext(timeout: once ? .seconds(2) : nil), model: model ?? wiring.model)
        } while !once
      } catch {
        await follower.close()
        throw error
      }
      await follower.close()
    }
    do {
      try await StageServices.run([service], logger: Wiring.logger("retort.subscribe", level: .error))
    } catch {
      try? await log.close()
      throw error
    }
    try await log.close()
  }

  /// The host and the whole path, of which a name has no room for more than the end: services may have folders of one name. Each has
  /// one of its own, and finds it again when it is started anew.
  static func standardName(of folder: String) -> String {
    let path = URL(fileURLWithPath: folder).standardizedFileURL.path
    return "\(ProcessInfo.processInfo.hostName):\(String(decoding: path.utf8.suffix(160), as: UTF8.self))"
  }

  /// This deployment's own key is made with its first release.
  private func waitForKey(_ wiring: Wiring, _ logger: Logger) async throws {
    guard try wiring.keysIfAny() == nil else { return }
    logger.notice("nothing has been released here yet, and no key is trusted; waiting for the first release")
    while try wiring.keysIfAny() == nil { try await Task.sleep(for: .seconds(1)) }
  }

  /// Says what is current now.
  private func report(_ adoption: Subscriber.Adoption?, model: String) throws {
    guard let adoption else {
      Output.complain("no release of \(model) was adopted")
      throw ExitStatus.failed
    }
    let release = adoption.release
    if global.json {
      Output.print([
        "model": .string(release.manifest.model), "version": .integer(Int64(release.manifest.version)),
        "epoch": .integer(release.deployment.epoch), "dir": .string(release.folder),
        "sha256": .string(release.manifest.weights?.sha256.hex ?? ""),
      ])
    } else {
      Output.print("\(dir)/current is \(release.manifest.model) version \(release.manifest.version)")
    }
    // One that follows goes on: the next release may suit the program.
    if once, adoption.programFailure != nil { throw ExitStatus.failed }
  }
}
