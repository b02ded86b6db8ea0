import ArgumentParser
import Foundation
import KafkaLog
import MessageLog
import Pipeline
import Releases
import RetortClient
import SQLiteLog
import StudentModel
import Teacher
import Topics
import Training

/// `retort doctor`: what is wrong here, and what mends it.
struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Say what is wrong here, and what mends it.")

  @OptionGroup var global: GlobalOptions

  /// One thing that was looked at.
  private struct Finding {
    let subject: String
    let problem: String?
    let detail: String
  }

  func run() async throws {
    let findings = try await examine()
    let problems = findings.filter { $0.problem != nil }
    if global.json {
      Output.print([
        "ok": .bool(problems.isEmpty),
        "findings": .array(
          findings.map {
            ["subject": .string($0.subject), "ok": .bool($0.problem == nil), "text": .string($0.problem ?? $0.detail)]
          }),
      ])
    } else {
      for finding in findings {
        Output.print(
          "\(finding.problem == nil ? "ok  " : "BAD ") \(finding.subject): \(finding.problem ?? finding.detail)")
      }
    }
    if !problems.isEmpty { throw ExitStatus.checkFailed }
  }

  private func examine() async throws -> [Finding] {
    let configuration = try global.configuration()
    let wiring = Wiring(configuration)
    var findings = Wiring.problems(of: configuration).map { Finding(subject: "configuration", problem: $0, detail: "") }
    if findings.isEmpty {
      findings.append(Finding(subject: "configuration", problem: nil, detail: "every setting holds"))
    }
    findings.append(
      Finding(
        subject: "processor", problem: nil,
        detail: "kernels \(KernelPool.level), \(Processors.count) cores"))
    let (ofLog, signer) = await self.log(wiring)
    findings += ofLog
    findings.append(folder(wiring.state))
    findings.append(key(wiring, signer: signer))
    findings.append(space(wiring.state))
    return findings
  }

  /// What the log is like, and who signed the newest release.
  private func log(_ wiring: Wiring) async -> (findings: [Finding], signer: String?) {
    do {
      let log = try wiring.openBareLog(mayCreate: false)
      var findings = [Finding(subject: "log", problem: nil, detail: wiring.configuration.text("log.url"))]
      if let embedded = log as? SQLiteLog {
        let records = try await embedded.verify()
        findings.append(Finding(subject: "log file", problem: nil, detail: "checksums of \(records) records hold"))
      }
      let plan = try await DeploymentTopics.plan(
        log: log, names: wiring.names, requestPartitions: wiring.configuration.integer("log.partitions"),
        settingsAreKnown: wiring.settingsAreKnown)
      findings += Self.topics(plan)
      if log is KafkaLog { findings += await Self.rights(log, wiring) }
      let problems = try? await Status.problems(
        log: log, names: wiring.names, keys: wiring.keysIfAny(), model: wiring.model)
      findings += (problems ?? []).map { Finding(subject: "log", problem: $0, detail: "") }
      let released = try? await DeploymentScan(log: log, names: wiring.names, keys: nil).releases(of: wiring.model)
      try await log.close()
      return (findings, released?.last?.manifest.signature?.keyID)
    } catch {
      return ([Finding(subject: "log", problem: "\(error)", detail: "")], nil)
    }
  }

  private static func topics(
    _ plan: (missing: [TopicConfiguration], differing: [(found: TopicConfiguration, wanted: TopicConfiguration)])
  ) -> [Finding] {
    let missing = plan.missing.map {
      Finding(
        subject: "topic \($0.name)",
        problem:
          "missing, or not to be seen by this user; run `retort topics apply`, or have the user's rights extended",
        detail: "")
    }
    return missing
      + plan.differing.map { pair in
        let differences = DeploymentTopics.differences(found: pair.found, wanted: pair.wanted).joined(separator: "; ")
        let remedy =
          pair.found.partitions > pair.wanted.partitions
          ? DeploymentTopics.partitionAdvice : "run `retort topics apply`"
        let text = "has \(differences); \(remedy)"
        let isFault = !DeploymentTopics.lacksOnlyTombstoneTime(found: pair.found, wanted: pair.wanted)
        return Finding(subject: "topic \(pair.wanted.name)", problem: isFault ? text : nil, detail: isFault ? "" : text)
      }
  }

  /// Whether the brokers permit what the stages do, as far as that can be tried without writing. Which of them run as this user
  /// is not known, so that each finding says who needs the right.
  private static func rights(_ log: any MessageLog, _ wiring: Wiring) async -> [Finding] {
    func attempt(
      _ subject: String, _ detail: String, notNeededBy spared: String, _ work: () async throws -> Void
    ) async -> Finding {
      do {
        try await work()
        return Finding(subject: subject, problem: nil, detail: detail)
      } catch {
        return Finding(subject: subject, problem: "\(error) (not needed by \(spared))", detail: "")
      }
    }
    let names = wiring.names
    let group = await attempt(
      "group \(names.labelGroup)", "may be read", notNeededBy: "producers, release, serve and subscribers"
    ) {
      _ = try await log.committedOffsets(group: names.labelGroup)
    }
    let writer = await attempt(
      "transactions", "transactional ids beginning with \(names.prefix) may be used",
      notNeededBy: "producers, serve and subscribers, nor by a stage that may use its own"
    ) {
      try await log.transactionalWriter(id: names.prefix + "doctor").close()
    }
    let requests = TopicPartition(topic: names.requests, partition: 0)
    guard let known = try? await log.topics(), known.contains(where: { $0.name == names.requests }) else {
      return [group, writer]
    }
    let reading = await attempt(
      "topic \(names.requests)", "may be read", notNeededBy: "any but label and operators"
    ) {
      let reader = try await log.reader(of: [requests: .latest], options: ReaderOptions())
      defer { Task { await reader.close() } }
      _ = try await reader.next(maximum: 1, timeout: .milliseconds(800))
    }
    return [group, writer, reading]
  }

  private func folder(_ path: String) -> Finding {
    guard FileManager.default.isWritableFile(atPath: Self.existing(path)) else {
      return Finding(
        subject: "state folder", problem: "\(path) cannot be written; change `state` or its permissions", detail: "")
    }
    return Finding(subject: "state folder", problem: nil, detail: path)
  }

  /// The folder, or the nearest above that is there: what is missing is made when it is needed.
  private static func existing(_ path: String) -> String {
    var place = path
    while !place.isEmpty, !FileManager.default.fileExists(atPath: place) {
      place = (place as NSString).deletingLastPathComponent
    }
    return place.isEmpty ? "." : place
  }

  private func key(_ wiring: Wiring, signer: String?) -> Finding {
    let keys = wiring.keys
    let trustsOthers = !wiring.configuration.texts("serve.trusted_keys").isEmpty
    do {
      guard keys.canSign || keys.publicFile != nil && !trustsOthers else {
        return Finding(
          subject: "signing key", problem: nil,
          detail: signer.map { "none here; \($0) has signed the newest release (only release and promote need it)" }
            ?? "none yet; the first release makes one")
      }
      let key = try keys.signingKey(after: signer)
      if let mode = keys.exposure {
        return Finding(
          subject: "signing key",
          problem: "others may read it (mode \(mode)); run `chmod 600 \(keys.path)/signing.key`",
          detail: "")
      }
      return Finding(subject: "signing key", problem: nil, detail: key.id)
    } catch {
      return Finding(subject: "signing key", problem: "\(error)", detail: "")
    }
  }

  private func space(_ path: String) -> Finding {
    let attributes = try? FileManager.default.attributesOfFileSystem(forPath: Self.existing(path))
    let free = (attributes?[.systemFreeSize] as? NSNumber)?.int64Value ?? 0
    guard free > 500_000_000 else {
      return Finding(
        subject: "disk", problem: "\(Figures.bytes(Int(free))) free; checkpoints and the log need about 500 MB",
        detail: "")
    }
    return Finding(subject: "disk", problem: nil, detail: "\(Figures.bytes(Int(free))) free")
  }
}
