import Evaluation
import Logging
import MessageLog
import Pipeline
import RetortClient
import Teacher
import Topics
import Training

/// One `retort replay`: label again if asked to, train, release under the other name, compare.
struct ReplayRun {
  let wiring: Wiring
  let log: any MessageLog
  let name: String
  let recipe: TrainingRecipe

  private var logger: Logger { Wiring.logger("retort") }

  func run(from start: ReplayBound, to end: ReplayBound, relabel: Bool) async throws -> ReplayReport {
    let progress = RunReport()
    let names: TopicNames
    let offsets: Range<Int64>
    if relabel {
      names = wiring.names.relabelled(as: name)
      if let begun = try await begun(to: end, names) {
        offsets = begun
      } else {
        try await label(names, from: start, to: end, progress)
        offsets = try await range(from: .earliest, to: .latest, names)
      }
    } else {
      names = wiring.names
      let asked = try await range(from: start, to: end, names)
      offsets = try await begun(from: asked.lowerBound, to: end, names) ?? asked
    }
    let plan = ReplayPlan(
      name: name, names: names, recipe: recipe, range: try await ReplayRange(offsets, log: log, names: names))
    let manifest = try await Replay(
      train: try wiring.train(log: log, replay: plan, logger: logger) { progress.take($0) },
      release: try await wiring.release(log: log, replay: plan, logger: logger) { progress.take($0) }, range: plan.range
    ).run()
    return try await report(manifest, names)
  }

  /// The samples of a replay that was begun under this name: `latest` stays what it was then, while the log goes on.
  ///
  /// - Parameter from: the first offset that is asked for now; nil: the topic is the replay's own.
  private func begun(from: Int64? = nil, to end: ReplayBound, _ names: TopicNames) async throws -> Range<Int64>? {
    guard end == .latest,
      let offsets = try await TrainStage.announced(log: log, names: names, model: name).progress?.replayedOffsets,
      from ?? offsets.lowerBound == offsets.lowerBound
    else { return nil }
    Output.note(
      "replay   \(name) is of offsets \(offsets.lowerBound) to \(offsets.upperBound - 1) of \(names.samples), and goes on with them"
    )
    return offsets
  }

  private func range(from start: ReplayBound, to end: ReplayBound, _ names: TopicNames) async throws -> Range<Int64> {
    let partition = TopicPartition(topic: names.samples, partition: 0)
    let offsets = try await ReplayBound.resolve(from: start, to: end, of: partition, log: log)
    if start == .earliest, offsets.lowerBound > 0 {
      Output.note("replay   offsets 0 to \(offsets.lowerBound - 1) of \(names.samples) are no longer in the log")
    }
    return offsets
  }

  private func label(
    _ names: TopicNames, from start: ReplayBound, to end: ReplayBound, _ progress: RunReport
  ) async throws {
    try await DeploymentTopics.ensure(
      log: log, names: names, requestPartitions: wiring.configuration.integer("log.partitions"))
    let range = try await RequestRange(from: start, to: end, log: log, names: wiring.names)
    try await range.checkNoneIsLeftOut(by: names, log: log)
    let teacher = try wiring.teacher(logger: logger)
    let stage = try wiring.label(log: log, teacher: teacher, relabelling: (names, range), logger: logger)
    do {
      try await stage.run(.untilIdle) { progress.take(.labelled($0)) }
    } catch {
      await teacher.shutdown()
      throw error
    }
    await teacher.shutdown()
    progress.end()
  }

  /// How many requests of a relabelling had which outcome, in this run and those before it, which may have been killed.
  private func outcomes(in names: TopicNames) async throws -> [RequestOutcome: Int] {
    var outcomes: [RequestOutcome: Int] = [:]
    try await TopicScan.each(log: log, topic: names.ledger) { record in
      guard let account = try? RecordCoding.value(of: record, as: LedgerRecord.self) else { return }
      for item in account.outcomes { outcomes[item.outcome, default: 0] += item.count }
    }
    return outcomes
  }

  private func report(_ manifest: Manifest, _ names: TopicNames) async throws -> ReplayReport {
    let lookup = ReleaseLookup(wiring: wiring, log: log)
    let live = try await wiring.history(in: log).releases(of: wiring.model).map(\.manifest)
    var report = ReplayReport(
      manifest: manifest, labels: names.isRelabelled ? try await outcomes(in: names) : nil)
    report.sameSamples = live.filter { $0.lineage.chain == manifest.lineage.chain }.map(\.version)
    report.sameFile = live.filter { $0.weights?.sha256 == manifest.weights?.sha256 }.map(\.version)
    guard !live.isEmpty else { return report }
    let incumbent = try await lookup.newest(wiring.model)
    let first = ModelReference.Loaded(incumbent, try await lookup.load(incumbent))
    let second = ModelReference.Loaded(manifest, try await lookup.load(manifest))
    func comparison(by names: TopicNames, _ questions: String) async throws -> ComparisonReport? {
      let samples = try await HeldOutSamples(log: log, names: names).gate
      guard !samples.isEmpty else { return nil }
      return ComparisonReport(
        first: first, second: second, questions: questions,
        comparison: try Answering.compare(first.model, second.model, on: samples))
    }
    report.comparison = try await comparison(by: wiring.names, "held-out samples")
    if names.isRelabelled {
      report.comparisonRelabelled = try await comparison(by: names, "held-out samples as \(name) is labelled")
    }
    return report
  }
}
