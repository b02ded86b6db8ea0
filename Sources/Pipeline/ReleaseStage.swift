public import Compression
import Foundation
public import Inference
public import Logging
public import MessageLog
import ModelFiles
public import Releases
import RetortClient
public import Topics
public import Training

/// Stage 3 on the log: makes a candidate of every release point, measures the file, signs it, promotes or rejects it.
///
/// Delivery: the manifest, the verdict, the deployment and the group's position are one transaction, opened when the work is
/// done; a crash before it repeats the work to the same weights. The files' chunks are in the log before it, as they may take
/// longer than a transaction is let; a crash in between leaves them to the repetition. Ordering: release points in the order of
/// training, so that each is judged against the one before. Cancellation: between two optimizer steps, or two questions that
/// a model is measured with.
public struct ReleaseStage: Sendable {
  /// Everything about releases that a deployment decides.
  public struct Policy: Sendable {
    /// How candidates are pruned, recovered and quantized.
    public var compression: CompressionPolicy
    /// What they must show.
    public var gate: GatePolicy
    /// Curated probes; empty: made from the functions.
    public var probes: [Probe]
    /// How many beginnings are followed where an answer of a release is unsure, 0…1,000; default 8. The file says it, so
    /// that the gate, probes and whoever serves the file answer alike.
    public var alternatives: Int
    /// Whether files go into the log in chunks, rather than into the store's folder.
    public var storesInLog: Bool
    /// The licence named in manifests.
    public var licence: String
    /// The version of this build, for lineage and as the minimum runtime.
    public var codeVersion: String

    /// A policy.
    public init(
      compression: CompressionPolicy = CompressionPolicy(), gate: GatePolicy = GatePolicy(), probes: [Probe] = [],
      alternatives: Int = DecodeOptions.standardAlternatives, storesInLog: Bool = true, licence: String = "proprietary",
      codeVersion: String
    ) {
      self.compression = compression
      self.gate = gate
      self.probes = probes
      self.alternatives = alternatives
      self.storesInLog = storesInLog
      self.licence = licence
      self.codeVersion = codeVersion
    }
  }

  let log: any MessageLog
  let names: TopicNames
  let model: String
  let checkpoints: CheckpointStore
  let store: ContentStore
  let policy: Policy
  let key: SigningKey
  let trusted: TrustedKeys
  let replay: Replay.Origin?
  let teacher: DistillationTeacher.Loader?
  let logger: Logger
  let observer: PipelineObserver

  /// What was released and deployed before.
  var history: DeploymentScan { DeploymentScan(log: log, names: names, keys: trusted) }

  /// How a student of a recipe is compressed: what was learned takes part in the recovery, however long, and one that began as a
  /// pretrained model learns no faster in it than all its weights may.
  func compression(of recipe: TrainingRecipe, hasBase: Bool) -> CompressionPolicy {
    var compression = policy.compression
    compression.maximumSequence = max(compression.maximumSequence, recipe.maximumSequence)
    if hasBase { compression.limitRates(by: recipe) }
    return compression
  }

  /// The model that candidates are compared with and whose name their files bear: a replay's are the live one's.
  var incumbent: String { replay?.model ?? model }

  /// A release stage of one model.
  ///
  /// - Parameters:
  ///   - replay: what a replay's candidates are made of; they are never promoted by the stage.
  ///   - checkpoints: where the trainer's checkpoints are.
  ///   - store: where finished files are kept on this machine.
  ///   - key: what signs.
  ///   - trusted: whose signatures count beside that key's, on what was released before.
  ///   - teacher: reads the model that the recipe distils from; nil where it names none.
  public init(
    log: any MessageLog, names: TopicNames, model: String, checkpoints: CheckpointStore, store: ContentStore,
    policy: Policy, key: SigningKey, trusted: TrustedKeys = TrustedKeys([]), replay: Replay.Origin? = nil,
    teacher: DistillationTeacher.Loader? = nil, logger: Logger,
    observer: @escaping PipelineObserver = { _ in }
  ) {
    self.teacher = teacher
    self.replay = replay
    self.log = log
    self.names = names
    self.model = model
    self.checkpoints = checkpoints
    self.store = store
    self.policy = policy
    self.key = key
    self.trusted = trusted.adding(key.publicKey)
    self.logger = logger
    self.observer = observer
  }

  /// The transactional id under which a model is released and deployed, by the stage and by hand.
  package static func transactionalID(of model: String, names: TopicNames) -> String {
    "\(names.prefix)release.\(model)"
  }

  /// Releases until the mode says to stop.
  ///
  /// - Parameters:
  ///   - mode: for ever, or until every announced release point is released and no more will come.
  ///   - upstreamIsIdle: whether the trainer has ended; asked only in ``RunMode/untilIdle``.
  public func run(_ mode: RunMode, upstreamIsIdle: @escaping UpstreamCheck = { true }) async throws {
    var isNew = true
    try await StageRetry.run("release", logger: logger) { progressed in
      if isNew {
        // A transaction that a killed process left open would hide the group's position until it lapses.
        await (try await openWriter()).close()
        isNew = false
      }
      try await runOnce(mode, upstreamIsIdle: upstreamIsIdle, progressed: progressed)
    }
  }

  private func openWriter() async throws -> any TransactionalWriter {
    try await log.transactionalWriter(id: Self.transactionalID(of: model, names: names))
  }

  private func runOnce(
    _ mode: RunMode, upstreamIsIdle: @escaping UpstreamCheck, progressed: () -> Void
  ) async throws {
    let reader = try await log.groupReader(
      group: names.releaseGroup(model: model), topics: [names.checkpoints],
      options: ReaderOptions(onLostRange: .skip, maximumPrefetch: 500))
    do {
      try await loop(mode, reader: reader, upstreamIsIdle: upstreamIsIdle, progressed: progressed)
    } catch {
      await reader.close()
      throw error
    }
    await reader.close()
  }

  private func loop(
    _ mode: RunMode, reader: any GroupReader, upstreamIsIdle: UpstreamCheck, progressed: () -> Void
  ) async throws {
    let lag = LagMeter(stage: "release", log: log)
    while !Task.isCancelled {
      lag.note(await reader.positions)
      // Asked before reading: what the trainer announced before it ended is then certainly read.
      var isLast = mode == .untilIdle
      if isLast { isLast = try await upstreamIsIdle() }
      if isLast { isLast = try await ownsWhatIsLeft(reader) }
      let records = try await reader.next(maximum: 100, timeout: .milliseconds(250))
      for record in records {
        try Task.checkCancellation()
        do {
          try await handle(record, reader: reader)
        } catch let error as MessageLogError where error.code == .fenced {
          // Somebody deployed meanwhile, and may do so again: that is no failure.
          progressed()
          throw error
        }
        progressed()
      }
      if records.isEmpty && isLast { return }
    }
    try Task.checkCancellation()
  }

  /// Whether an empty read means that nothing is left: a partition that another member holds, one that died without
  /// leaving for instance, must be committed to its end.
  private func ownsWhatIsLeft(_ reader: any GroupReader) async throws -> Bool {
    let own = await reader.assignment
    guard let topic = try await log.topics().first(where: { $0.name == names.checkpoints }) else { return true }
    let others = topic.topicPartitions.filter { !own.contains($0) }
    guard !others.isEmpty else { return true }
    let committed = try await log.committedOffsets(group: names.releaseGroup(model: model))
    for partition in others {
      let marks = try await log.watermarks(of: partition)
      if max(committed[partition] ?? 0, marks.low) < marks.high { return false }
    }
    return true
  }

  private func handle(_ record: Record, reader: any GroupReader) async throws {
    let partition = TopicPartition(topic: record.topic, partition: record.partition)
    let next = [partition: record.offset + 1]
    guard record.value != nil,
      let checkpoint = try? RecordCoding.value(of: record, as: CheckpointRecord.self), checkpoint.student == model,
      let number = checkpoint.releasePoint
    else {
      try await reader.commit(next)
      return
    }
    // After the group's position was lost, or the trainer started over, points come again; the same samples make the same
    // release. What a stranger signed is not one of ours.
    let released = try await history.releases(of: model).map(\.manifest).filter(history.trusts)
    let same = released.filter { $0.lineage.chain == checkpoint.chain && $0.lineage.recipe == checkpoint.recipe }
    // Of a checkpoint that is lost the base is not known.
    let made = same.isEmpty ? nil : try? checkpoints.summary(of: checkpoint.digest)
    guard !same.contains(where: { made == nil || made?.baseDigest == $0.lineage.base }) else {
      logger.info(
        "release: a release point is passed over, which was released before", metadata: ["point": "\(number)"])
      return try await reader.commit(next)
    }
    // Whoever deploys takes the id over, so that no two deployments share an epoch. It is taken before what is deployed is
    // read, and for this candidate alone: a deployment by hand meanwhile makes the stage begin again, one between two
    // candidates does not.
    let writer = try await openWriter()
    let candidate: FinishedCandidate
    do {
      candidate = try await ReleaseWorker(stage: self).release(checkpoint, point: number)
      let membership = try await reader.membership
      _ = try await writer.commit(
        append: candidate.records, offsets: GroupOffsets(membership: membership, offsets: next))
    } catch {
      await writer.close()
      guard let cause = try await causeToPassOver(record, error) else { throw error }
      logger.warning(
        "release: a release point is passed over, since \(cause)",
        metadata: ["point": "\(number)", "reason": "\(error)"])
      return try await reader.commit(next)
    }
    await writer.close()
    let summary = candidate.summary
    StageMetrics.released(promoted: summary.isPromoted)
    observer(.released(summary))
  }
}

extension ReleaseStage {
  /// Why a release point whose candidate could not be made is given up: trying again would end the same way. Nil for what may pass.
  private func causeToPassOver(_ record: Record, _ error: any Error) async throws -> String? {
    let training = (error as? TrainingError)?.code
    if training == .diverged || (error as? CompressionError)?.code == .diverged { return "its candidate diverged" }
    if training == .notReady { return "no sample could be learned" }
    guard training == .checkpointNotFound || training == .checkpointMismatch, try await isFollowed(record) else {
      return nil
    }
    let state = training == .checkpointNotFound ? "gone" : "of another version of this program"
    return "its checkpoint is \(state) and a newer one waits"
  }

  /// Whether a newer release point of the model waits behind one.
  private func isFollowed(_ record: Record) async throws -> Bool {
    guard let newest = try await TrainStage.announced(log: log, names: names, model: model).releasePoint,
      let own = try? RecordCoding.value(of: record, as: CheckpointRecord.self)
    else { return false }
    // By its place in the log: a trainer that started over numbers its points from 1 again.
    return newest.digest != own.digest
  }
}

/// What the release stage writes for one candidate.
struct FinishedCandidate {
  let manifest: Manifest
  /// Until the records are written its files are not collected.
  let use: FolderHold
  let records: [NewRecord]
  let summary: ReleaseSummary
}
