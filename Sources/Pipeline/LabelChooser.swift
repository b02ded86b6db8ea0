import Evaluation
import Inference
import Logging
import MessageLog
import Releases
import RetortClient
import Teacher
import Topics

/// Decides which requests are labelled: facts from the log and the newest released student, rules from the policy.
///
/// Its decisions are written down, in the samples and the ledger; nothing downstream makes them again. So a student that is
/// a function of the samples stays one, whatever release happened to be deployed when they were chosen.
actor LabelChooser {
  private let thread = StageThread("retort.choose")
  private let stage: LabelStage
  private let selection: LabelSelection
  private var student: ReleasedStudent?
  private var epoch: Int64 = 0
  private var watch = ConfidenceWatch()
  /// Whether the trainer sees the traffic drift.
  private var trainerSeesDrift = false
  private var checkpointsEnd: [TopicPartition: Int64] = [:]
  private var deploymentsEnd: [TopicPartition: Int64] = [:]
  /// When a release that could not be loaded is looked at again.
  private var nextLook: ContinuousClock.Instant?
  /// How long the next wait for it is.
  private var wait: Duration = .zero
  private static let longestWait = Duration.seconds(600)

  nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

  init(stage: LabelStage, selection: LabelSelection) {
    self.stage = stage
    self.selection = selection
  }

  /// One decision a request, in order.
  ///
  /// - Parameters:
  ///   - asked: requests that the teacher is being asked about and that the ledger does not have yet, by day and by the
  ///     partition that pays.
  ///   - owned: the partitions that are read here; a day's budget is shared out by partitions, so that nobody need know
  ///     what others have under way.
  ///   - partitions: how many there are.
  ///   - memory: what the stage knows, brought up to date where that matters; it learns what is asked about.
  func decide(
    on open: [OpenRequest], asked: [String: [Int: Int]], owned: [Int], partitions: Int, _ memory: inout LabelMemory
  ) async throws -> [LabelDecision] {
    if open.isEmpty { return [] }
    // What others have labelled meanwhile is not asked about again.
    if owned.count < partitions { try await memory.updateSamples(log: stage.log, names: stage.names) }
    try await followReleases(&memory.ledger)
    try await followCheckpoints()
    if selection.policy.dailyBudget > 0 { try await memory.ledger.update(log: stage.log, names: stage.names) }
    let spending = memory.ledger.spending
    let plans = open.map(plan)
    let opinions = try opinions(on: plans, seen: memory.seen)
    var asked = asked
    return plans.indices.map { index in
      let plan = plans[index]
      guard !plan.open.isFree else { return .label(ChosenRequest(reason: .recorded)) }
      if plan.coin < LabellingPolicy.watchedShare, let opinion = opinions[index] { look(at: opinion) }
      let day = plan.open.day
      func count(_ partition: Int) -> Int {
        spending.count(of: day, in: partition) + asked[day, default: [:]][partition, default: 0]
      }
      let spent = LabellingPolicy.Spent(
        asked: owned.reduce(0) { $0 + count($1) }, owned: owned, partitions: partitions)
      let decision = decision(on: plan, opinion: opinions[index], spent: spent, seen: memory.seen)
      guard case .label(var chosen) = decision else { return decision }
      let payer = selection.policy.payer(of: spent, asked: count) ?? plan.open.record.partition
      asked[day, default: [:]][payer, default: 0] += 1
      memory.ask(plan.open.request.messages)
      chosen.payer = payer
      return .label(chosen)
    }
  }

  /// What is known of a request without the student.
  private struct Plan {
    let open: OpenRequest
    let split: Split
    let coin: Double
  }

  private func plan(_ open: OpenRequest) -> Plan {
    Plan(
      open: open, split: stage.split.assign(open.request.messages), coin: selection.policy.coin(of: open.request.id))
  }

  private func look(at opinion: ReleasedStudent.Opinion) {
    guard watch.look(isSure: opinion.isSure) else { return }
    stage.logger.notice(
      "label: the deployed student is sure of less of the traffic, which counts as drifting until it is sure again or the next release",
      metadata: ["version": "\(opinion.version)"])
  }

  /// The student's opinions on the requests whose label or estimate they may concern, and on those by which it is watched.
  private func opinions(on plans: [Plan], seen: SeenRequests) throws -> [ReleasedStudent.Opinion?] {
    guard let student else { return plans.map { _ in nil } }
    let concerned = plans.indices.filter { index in
      let plan = plans[index]
      if plan.open.isFree { return false }
      let share = selection.policy.uniformShare(of: plan.split, isDrifting: true)
      if plan.coin < max(share, LabellingPolicy.watchedShare) { return true }
      return plan.split == .train && !seen.hasSeen(plan.open.request.messages)
    }
    let given = try student.opinions(on: concerned.map { plans[$0].open.request.messages })
    var opinions = [ReleasedStudent.Opinion?](repeating: nil, count: plans.count)
    for (index, opinion) in zip(concerned, given) { opinions[index] = opinion }
    return opinions
  }

  private func decision(
    on plan: Plan, opinion: ReleasedStudent.Opinion?, spent: LabellingPolicy.Spent, seen: SeenRequests
  ) -> LabelDecision {
    let messages = plan.open.request.messages
    let facts = LabellingPolicy.Facts(
      split: plan.split, coin: plan.coin, confidence: student == nil ? nil : opinion?.confidence ?? 1,
      novelty: seen.novelty(of: messages), isRepeated: seen.hasSeen(messages), spent: spent,
      isDrifting: watch.hasFallen || trainerSeesDrift)
    switch selection.policy.decision(on: facts) {
    case .skip(let reason): return .skip(reason: reason.rawValue)
    case .ask(let reason, let propensity, let isAudited):
      return .label(
        ChosenRequest(
          propensity: propensity, isAudited: isAudited, isDrifting: watch.hasFallen, reason: reason, student: opinion))
    }
  }

  /// Loads what was deployed since; what cannot be used leaves no student, so that everything is labelled, and is looked at
  /// again, ever more rarely: a store may be away, a disk full, a file of keys not there yet.
  ///
  /// - Throws: an error of the log, so that the session begins anew.
  private func followReleases(_ ledger: inout LedgerView) async throws {
    let ends = try await stage.log.ends(of: stage.names.models)
    let isNews = ends != deploymentsEnd
    guard isNews || nextLook.map({ $0 <= .now }) ?? false else { return }
    if isNews { wait = selection.nextLook }
    nextLook = nil
    let keys: TrustedKeys
    do { keys = try selection.keys() } catch {
      if isNews {
        stage.logger.warning(
          student == nil
            ? "label: no student is asked, so that all but repeats is labelled"
            : "label: the student that was deployed before is asked",
          metadata: ["reason": "\(error)"])
      }
      deploymentsEnd = ends
      lookAgain()
      return
    }
    let history = DeploymentScan(log: stage.log, names: stage.names, keys: keys)
    let newest = try await history.newest(of: selection.model)
    deploymentsEnd = ends
    guard let newest, newest.epoch != epoch else { return }
    do {
      student = try await ReleasedStudent(
        newest, selection: selection, functions: stage.functions,
        fetcher: ArtifactFetcher(log: stage.log, names: stage.names))
      epoch = newest.epoch
    } catch let error as CancellationError {
      throw error
    } catch {
      student = nil
      if (error as? PipelineError)?.code == .notEnough {
        // What a release lacks it will always lack.
        epoch = newest.epoch
      } else {
        epoch = 0
        lookAgain()
      }
      if isNews {
        stage.logger.warning(
          "label: the deployed student is not asked, so that all but repeats is labelled",
          metadata: ["version": "\(newest.manifest.version)", "reason": "\(error)"])
      }
    }
    watch.follow(student?.expected)
    if let time = RFC3339.milliseconds(of: newest.time) { try await watchAgain(since: time, &ledger) }
  }

  private func lookAgain() {
    nextLook = .now + wait
    wait = min(wait * 2, Self.longestWait)
  }

  /// The most requests by which a watch is brought to where it was.
  private static let watchedAgain = 400

  /// Looks at what has been decided on since the release was deployed, as members before this one did: the watch is what the log
  /// makes it, however often `label` is started.
  private func watchAgain(since deployment: Int64, _ ledger: inout LedgerView) async throws {
    guard let student else { return }
    let requests = try await Self.watched(stage, selection.policy, since: deployment, &ledger)
    for opinion in try student.opinions(on: requests) { look(at: opinion) }
  }

  /// The newest watched requests that were decided on, in the order of their times.
  private static func watched(
    _ stage: LabelStage, _ policy: LabellingPolicy, since deployment: Int64, _ ledger: inout LedgerView
  ) async throws -> [[ChatMessage]] {
    var seen: [(time: Int64, messages: [ChatMessage])] = []
    // In this order: what was committed is then in the ledger.
    let committed = try await stage.log.committedOffsets(group: stage.names.labelGroup)
    try await ledger.update(log: stage.log, names: stage.names)
    let erasures = ledger.erasures
    for partition in try await stage.log.ends(of: stage.names.requests).keys {
      guard let end = committed[partition] ?? ledger.accounted[partition]?.end else { continue }
      let low = try await stage.log.watermarks(of: partition).low
      let start = max(low, end - Int64(Double(watchedAgain) / LabellingPolicy.watchedShare))
      guard start < end else { continue }
      try await TopicScan.each(log: stage.log, partition: partition, from: .offset(start), to: end) { record in
        guard record.timestamp >= deployment, record.value != nil,
          !erasures.contains(RequestPlace(partition: record.partition, offset: record.offset)),
          let request = try? RecordCoding.value(of: record, as: RequestRecord.self),
          policy.coin(of: request.id) < LabellingPolicy.watchedShare, !stage.teacher.isFree(request)
        else { return }
        seen.append((record.timestamp, request.messages))
      }
    }
    return seen.sorted { $0.time < $1.time }.suffix(watchedAgain).map(\.messages)
  }

  /// Whether the trainer has lately seen the traffic drift.
  private func followCheckpoints() async throws {
    let ends = try await stage.log.ends(of: stage.names.checkpoints)
    guard ends != checkpointsEnd else { return }
    trainerSeesDrift =
      try await TrainStage.announced(log: stage.log, names: stage.names, model: selection.model).progress?.isDrifting
      ?? false
    checkpointsEnd = ends
  }
}
