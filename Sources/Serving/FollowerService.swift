import Logging
import RetortClient
import ServiceLifecycle
import Topics

/// Follows the releases of a model and swaps them in; told to stop, it says so on `adoptions`.
struct FollowerService: Service {
  let open: @Sendable () async throws -> ReleaseFollower
  let slot: ModelSlot
  let engine: AnswerEngine
  let metrics: ServingMetrics
  let logger: Logger

  func run() async throws {
    do {
      try await cancelWhenGracefulShutdown { try await follow() }
    } catch is CancellationError {
      // Told to stop; what is served stays served until the server has ended.
    }
  }

  private func follow() async throws {
    var follower: ReleaseFollower?
    var unacknowledged: VerifiedRelease?
    var delay = Duration.zero
    var complaint = ""
    var hasSaidThatItWaits = false
    var hasGoneOn = false
    while true {
      do {
        try await Task.sleep(for: delay)
        if follower == nil { follower = try await open() }
        guard let follower else { continue }
        if let release = try await follower.next(timeout: .seconds(2)) {
          adopt(release)
          unacknowledged = release
        }
        slot.problem = await follower.refusal
        if slot.current == nil, !hasGoneOn {
          hasGoneOn = true
          await goOn(follower)
        }
        if slot.current == nil, slot.problem == nil, !hasSaidThatItWaits {
          hasSaidThatItWaits = true
          logger.warning(
            "no release of this model is deployed; waiting for one (`retort models list` says what there is)",
            metadata: ["model": "\(follower.model)"])
        }
        if let release = unacknowledged {
          try await follower.acknowledge(release)
          unacknowledged = nil
          ModelFolder.retire(around: release.folder)
        }
        (delay, complaint) = (.zero, "")
      } catch is CancellationError {
        await follower?.close()
        await follower?.leave()
        throw CancellationError()
      } catch {
        let text = String(describing: error)
        if text != complaint { logger.warning("releases cannot be followed", metadata: ["reason": "\(text)"]) }
        complaint = text
        slot.problem = text
        if let follower, !hasGoneOn {
          hasGoneOn = true
          await goOn(follower)
        }
        await follower?.close()
        // A reader that failed is spent; a follower without a reader opens a new one.
        delay = max(.seconds(1), min(delay * 2, .seconds(30)))
      }
    }
  }

  /// Where nothing is served yet, what this server's folder has of the time before it was started is better than nothing.
  private func goOn(_ follower: ReleaseFollower) async {
    guard slot.current == nil else { return }
    do {
      guard let release = try await follower.acceptedBefore() else { return }
      logger.warning(
        "the newest release cannot be had; the one before the restart is served",
        metadata: ["reason": "\(slot.problem ?? "none is deployed")"])
      adopt(release)
    } catch {
      logger.warning("the release before the restart cannot be served", metadata: ["reason": "\(error)"])
    }
  }

  private func adopt(_ release: VerifiedRelease) {
    let model = ServedModel(release)
    slot.swap(model)
    engine.forgetOldModels()
    metrics.swapped(to: model)
    logger.notice(
      "serving a release",
      metadata: [
        "model": "\(model.name)", "version": "\(release.manifest.version)", "epoch": "\(release.deployment.epoch)",
        "sha256": "\(model.digest.hex.prefix(12))",
      ])
    model.logPlacement(logger)
  }
}
