import Foundation
import MessageLog
import Pipeline
import Releases
import RetortClient
import Topics

/// A deployment that a person decides.
struct ManualDeployment {
  let global: GlobalOptions
  let model: String?
  let action: DeploymentRecord.Action
  let reason: String

  func deploy(
    _ choose: ([(manifest: Manifest, verdict: ReleaseVerdict?)], DeploymentRecord) throws -> Int
  ) async throws {
    let wiring = Wiring(try global.configuration())
    let log = try await wiring.openExistingLog()
    let name = model ?? wiring.model
    let key = try await wiring.signingKey(log: log)
    let keys = (try wiring.keysIfAny() ?? TrustedKeys([])).adding(key.publicKey)
    let history = DeploymentScan(log: log, names: wiring.names, keys: keys)
    // What cannot be deployed takes the transactional id from no release stage.
    let chosen = try await release(of: name, history, choose).manifest
    try keys.verify(chosen)
    try await ArtifactFetcher(log: log, names: wiring.names).check(chosen)
    var deployed: (record: DeploymentRecord, before: DeploymentRecord?)?
    for attempt in 1... {
      do {
        deployed = try await write(history, of: name, log, wiring, choose) { try key.sign($0) }
        break
      } catch let error as MessageLogError where error.code == .fenced && attempt < Self.attempts {
        // The release stage deployed meanwhile: what is chosen may be another version now.
      }
    }
    try await log.close()
    guard let (record, before) = deployed else { return }
    let version = record.manifest.version
    // Which takes no version's place, and is how the gate's count of tries is begun anew.
    let isAgain = before?.manifestDigest == record.manifestDigest
    let replaced = isAgain ? nil : before?.manifest.version
    if global.json {
      Output.print([
        "version": .integer(Int64(version)), "epoch": .integer(record.epoch), "action": .string(action.rawValue),
        "replaced": replaced.map { .integer(Int64($0)) } ?? .null,
      ])
    } else {
      Output.print(
        isAgain
          ? "\(name) version \(version) was deployed already; it stays, as epoch \(record.epoch), and the gate counts its tries anew"
          : "\(name) version \(version) is deployed, epoch \(record.epoch)"
            + (replaced.map { ", in place of version \($0)" } ?? ""))
    }
  }

  /// How often the transactional id is taken again from a release stage that took it.
  private static let attempts = 10

  private func write(
    _ history: DeploymentScan, of name: String, _ log: any MessageLog, _ wiring: Wiring,
    _ choose: ([(manifest: Manifest, verdict: ReleaseVerdict?)], DeploymentRecord) throws -> Int,
    sign: (DeploymentRecord) throws -> DeploymentRecord
  ) async throws -> (record: DeploymentRecord, before: DeploymentRecord?) {
    let writer = try await log.transactionalWriter(id: ReleaseStage.transactionalID(of: name, names: wiring.names))
    do {
      let (manifest, before) = try await release(of: name, history, choose)
      let record = try sign(
        DeploymentRecord(
          epoch: try await history.nextEpoch(of: name), action: action, manifest: manifest, reason: reason,
          time: RFC3339.text(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))))
      _ = try await writer.commit(
        append: [try RecordCoding.checked(record, topic: wiring.names.models, key: name)], offsets: nil)
      await writer.close()
      return (record, before)
    } catch {
      await writer.close()
      throw error
    }
  }

  /// The release to deploy, and what is deployed until then.
  private func release(
    of name: String, _ history: DeploymentScan,
    _ choose: ([(manifest: Manifest, verdict: ReleaseVerdict?)], DeploymentRecord) throws -> Int
  ) async throws -> (manifest: Manifest, before: DeploymentRecord?) {
    let releases = try await history.releases(of: name)
    let deployed = try await history.newest(of: name)
    let version: Int
    if let deployed {
      version = try choose(releases, deployed)
    } else if let first = releases.first {
      guard action == .promote else {
        throw ClientError(
          .notFound, name, expected: "a deployed version to go back from", found: "none",
          advice: "promote one with `retort models promote`")
      }
      let stand = DeploymentRecord(
        epoch: 1, action: .promote, manifest: first.manifest, reason: reason, time: first.manifest.created)
      version = try choose(releases, stand)
    } else {
      throw ClientError(
        .notFound, name, expected: "the name of a model that was released", found: "no release of it",
        advice: "make one with `retort run`, or give the model's name with --model")
    }
    guard let chosen = releases.first(where: { $0.manifest.version == version }) else {
      throw ClientError(
        .notFound, name, expected: "version \(version)", found: "none of that number",
        advice: "choose one of `retort models list`")
    }
    return (chosen.manifest, deployed)
  }
}
