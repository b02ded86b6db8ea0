import Foundation
import Inference
public import Logging
import MessageLog
import Topics

/// Keeps a folder's `current` on the newest promoted release, and runs a program after each switch.
public struct Subscriber: Sendable {
  private let follower: ReleaseFollower
  private let folder: ModelFolder
  private let command: String?
  private let logger: Logger

  /// A switch to a release.
  public struct Adoption: Sendable {
    /// The release that is current now.
    public let release: VerifiedRelease
    /// What went wrong with the program after the switch, as a sentence; nil where nothing did.
    public let programFailure: String?
  }

  /// - Parameters:
  ///   - follower: what hands over the releases; it must use the same folder.
  ///   - folder: the folder.
  ///   - command: run by `/bin/sh -c` after each switch, with `RETORT_MODEL_DIR` and `RETORT_MODEL_VERSION`; `nil` for none.
  public init(follower: ReleaseFollower, folder: ModelFolder, command: String?, logger: Logger) {
    self.follower = follower
    self.folder = folder
    self.command = command
    self.logger = logger
  }

  /// Waits for the next release, switches to it, runs the program, acknowledges.
  ///
  /// - Parameter timeout: how long to wait; `nil` waits until one comes, and through a full disk and other trouble that
  ///   passes, which is logged.
  /// - Returns: the switch, or `nil` when no release came in time.
  public func adoptNext(timeout: Duration? = nil) async throws -> Adoption? {
    let isPatient = timeout == nil
    guard let release = try await retrying(isPatient, { try await follower.next(timeout: timeout) }) else { return nil }
    try await retrying(isPatient) { try folder.switchCurrent(to: release.folder) }
    let failure = await runCommand(for: release)
    try await retrying(isPatient) { try await follower.acknowledge(release, reason: failure) }
    ModelFolder.retire(around: release.folder)
    return Adoption(release: release, programFailure: failure)
  }

  /// Tries again, ever more slowly, what may succeed later.
  private func retrying<Value>(_ isPatient: Bool, _ body: () async throws -> Value) async throws -> Value {
    var delay = Duration.seconds(1)
    while true {
      do { return try await body() } catch  where isPatient && Self.isRetriable(error) {
        logger.warning("trying again", metadata: ["in": "\(delay)", "reason": "\(error)"])
        try await Task.sleep(for: delay)
        delay = min(delay * 2, .seconds(60))
      }
    }
  }

  private static func isRetriable(_ error: any Error) -> Bool {
    (error as? ClientError)?.isRetriable ?? (error as? MessageLogError)?.isRetriable ?? false
  }

  /// Runs the program; what went wrong with it, as a sentence.
  private func runCommand(for release: VerifiedRelease) async -> String? {
    guard let command else { return nil }
    let program = ShellProgram(
      command: command,
      variables: ["RETORT_MODEL_DIR": release.folder, "RETORT_MODEL_VERSION": String(release.manifest.version)])
    let failure = await program.run { elapsed in
      logger.warning(
        "the program after the switch still runs; releases wait for its end",
        metadata: ["seconds": "\(elapsed.components.seconds)"])
    }
    guard let failure else { return nil }
    logger.error("the program after the switch failed", metadata: ["reason": "\(failure)"])
    return "the program after the switch \(failure)"
  }
}
