import DemoWorld
import Evaluation
import Foundation
import Inference
import Logging
import MessageLog
import Pipeline
import RetortClient
import Synchronization
import Teacher
import Topics
import Training

/// One run of the demo: the whole loop in one folder against a stand-in teacher on loopback.
struct DemoRun {
  /// What the run found.
  struct Result: Sendable {
    let labelled: Audit
    let refused: [String: Int]
    let releases: [ReleaseSummary]
    let adopted: [Int]
    let prequential: [Double]
    let unseen: EvaluationReport
    let examples: [Example]
    let teacher: StandInStatistics
    let seconds: Double
    let threads: Int
  }

  /// A request with the student's answer.
  struct Example: Sendable {
    let text: String
    let answer: String
    let isRight: Bool
  }

  let folder: String
  let isQuiet: Bool

  func run() async throws -> Result {
    let started = ContinuousClock.now
    let teacher = StandInTeacher(seed: DemoFolder.seed)
    return try await teacher.whileRunning { endpoint in
      try DemoFolder(path: folder).write(endpoint: endpoint)
      return try await loop(teacher: teacher, started: started)
    }
  }

  private func loop(teacher standIn: StandInTeacher, started: ContinuousClock.Instant) async throws -> Result {
    let configuration = try Configuration(path: folder + "/retort.yaml", environment: [:])
    let wiring = Wiring(configuration)
    let logger = Wiring.logger("retort.demo", level: .error)
    let log = try await wiring.openLog()
    let imported = try await RequestImport.run(
      DemoFolder.requestLines(), name: "the demo's grammar", log: log, names: wiring.names)
    note("import   \(imported.imported) requests into \(configuration.text("log.url"))")

    let report = RunReport(isQuiet: isQuiet)
    let curve = PrequentialCurve()
    let subscription = try await startSubscriber(wiring, log: log, logger: logger)
    let teacher = try wiring.teacher(logger: logger)
    do {
      let isWhole = try await wiring.run(.all, mode: .untilIdle, log: log, teacher: teacher, logger: logger) { event in
        curve.take(event)
        report.take(event)
      }
      guard isWhole else { throw CancellationError() }
    } catch {
      subscription.task.cancel()
      await teacher.shutdown()
      throw error
    }
    report.end()
    await teacher.shutdown()
    let adopted = try await finish(subscription, wiring: wiring, log: log)
    let audit = try await Audit.run(log: log, names: wiring.names)
    let letters = try await DeadLetters.list(log: log, names: wiring.names)
    let result = try await measure(
      wiring: wiring, log: log, audit: audit, letters: letters, report: report, curve: curve, adopted: adopted,
      teacher: standIn.statistics, started: started)
    try await log.close()
    return result
  }

  private func note(_ text: String) {
    if !isQuiet { Output.note(text) }
  }

  // MARK: - The subscriber

  private struct Subscription {
    let task: Task<Void, any Error>
    let versions: AdoptedVersions
  }

  private func startSubscriber(_ wiring: Wiring, log: any MessageLog, logger: Logger) async throws -> Subscription {
    _ = try wiring.keys.signingKey()
    let models = ModelFolder(folder + "/subscriber")
    let follower = try ReleaseFollower(
      log: log, names: wiring.names, model: wiring.model, keys: try wiring.trustedKeys(), folder: models,
      subscriber: "demo", agent: "retort/\(BuildVersion.text)", logger: logger)
    let subscriber = Subscriber(follower: follower, folder: models, command: nil, logger: logger)
    let versions = AdoptedVersions()
    let isQuiet = self.isQuiet
    let task = Task {
      while !Task.isCancelled {
        guard let version = try await subscriber.adoptNext(timeout: .seconds(1))?.release.manifest.version else {
          continue
        }
        versions.add(version)
        if !isQuiet { Output.note("adopt    subscriber switched to version \(version)") }
      }
    }
    return Subscription(task: task, versions: versions)
  }

  /// Waits until the subscriber runs what is deployed.
  private func finish(_ subscription: Subscription, wiring: Wiring, log: any MessageLog) async throws -> [Int] {
    let deployed = try await wiring.history(in: log).newest(of: wiring.model)
    let deadline = ContinuousClock.now + .seconds(20)
    while let deployed, subscription.versions.all.last != deployed.manifest.version, ContinuousClock.now < deadline {
      try await Task.sleep(for: .milliseconds(20))
    }
    subscription.task.cancel()
    _ = await subscription.task.result
    return subscription.versions.all
  }

  // MARK: - Measuring

  private func measure(
    wiring: Wiring, log: any MessageLog, audit: Audit, letters: [DeadLetters.Entry], report: RunReport,
    curve: PrequentialCurve, adopted: [Int], teacher: StandInStatistics, started: ContinuousClock.Instant
  ) async throws -> Result {
    let current = folder + "/subscriber/current/model.gguf"
    let unseen = DemoFolder.unseenRequests()
    let model = try ServingModel(gguf: current)
    let cases = try Answering.evaluate(
      unseen.map { MeasuredSample(id: "unseen-\($0.index)", messages: [.user($0.text)], call: $0.call) }, model: model)
    let examples = zip(unseen, cases).prefix(3).map { request, result in
      Example(text: request.text, answer: result.predicted?.json.text ?? "no call", isRight: result.score.isExact)
    }
    var refused: [String: Int] = [:]
    for entry in letters { refused[entry.letter.code, default: 0] += 1 }
    let elapsed = ContinuousClock.now - started
    return Result(
      labelled: audit, refused: refused, releases: report.releases, adopted: adopted, prequential: curve.values,
      unseen: EvaluationReport(cases), examples: Array(examples), teacher: teacher,
      seconds: Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18,
      threads: wiring.threads)
  }
}

/// The versions a subscriber has adopted, in order.
private final class AdoptedVersions: Sendable {
  private let versions = Mutex<[Int]>([])

  func add(_ version: Int) { versions.withLock { $0.append(version) } }

  var all: [Int] { versions.withLock { $0 } }
}

/// Prequential exact match by round.
private final class PrequentialCurve: Sendable {
  private let points = Mutex<[Double]>([])

  func take(_ event: PipelineEvent) {
    guard case .round(let report, _, _) = event, let score = report.prequential else { return }
    points.withLock { $0.append(score.exactMatch) }
  }

  var values: [Double] { points.withLock { $0 } }
}
