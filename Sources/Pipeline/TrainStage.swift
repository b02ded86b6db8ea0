import Foundation
public import Logging
public import MessageLog
import RetortClient
import Metrics
import StudentModel
public import Topics
public import Training

/// Stage 2 on the log: consumes samples in order, trains in rounds, announces checkpoints and release points.
///
/// Delivery: the checkpoint holds its own position; it is written and flushed before it is announced, and a crash in
/// between repeats the round to the same bytes. Fencing: one transactional id a student; an older trainer stops at its
/// next announcement. Ordering: the one partition of `samples` is the training order. Back-pressure: reads no further
/// than it trains. Cancellation: between two optimizer steps; the round is then repeated.
public struct TrainStage: Sendable {
  let log: any MessageLog
  let names: TopicNames
  let model: String
  let recipe: TrainingRecipe
  let functions: FunctionSet
  let base: (@Sendable (FunctionSet) throws -> BaseModel)?
  let teacher: String?
  let checkpoints: CheckpointStore
  let bodies: String?
  let range: ReplayRange?
  let mayStartAnew: Bool
  let logger: Logger
  let observer: PipelineObserver

  /// A train stage of one student.
  ///
  /// - Parameters:
  ///   - model: the student's name.
  ///   - recipe: how it is trained.
  ///   - functions: what it may call before the first sample says; see ``Trainer/follow(_:base:)``.
  ///   - base: loads the model to fine-tune, for a set of functions; `nil` trains from scratch.
  ///   - teacher: where the model is that the recipe's releases are distilled from, if it names one: what cannot teach the student is
  ///     refused before the first round.
  ///   - checkpoints: where checkpoints lie.
  ///   - bodies: the folder where pretrained bodies are kept, for recipes with `base_steps`; `nil` keeps none.
  ///   - range: the samples of a replay; `nil` trains on all that come. A replay appends nothing to `samples`.
  ///   - mayStartAnew: whether it starts over from the first sample where the announced checkpoint is lost, or of another recipe
  ///     or base; else that is an error.
  public init(
    log: any MessageLog, names: TopicNames, model: String, recipe: TrainingRecipe, functions: FunctionSet,
    base: (@Sendable (FunctionSet) throws -> BaseModel)? = nil, teacher: String? = nil, checkpoints: CheckpointStore,
    bodies: String? = nil, range: ReplayRange? = nil, mayStartAnew: Bool = false, logger: Logger,
    observer: @escaping PipelineObserver = { _ in }
  ) {
    self.log = log
    self.names = names
    self.model = model
    self.range = range
    self.mayStartAnew = mayStartAnew
    self.recipe = recipe
    self.functions = functions
    self.base = base
    self.teacher = teacher
    self.checkpoints = checkpoints
    self.bodies = bodies
    self.logger = logger
    self.observer = observer
  }

  /// Trains until the mode says to stop.
  ///
  /// With ``RunMode/untilIdle`` it ends when the stage before it is idle and every sample is consumed; before that it asks
  /// for a last release by a cut record, if anything was learned since the one before. With ``RunMode/forever`` it asks for its
  /// first student so, where the samples of one release wait and no more come.
  ///
  /// - Parameters:
  ///   - mode: when to end.
  ///   - upstreamIsIdle: whether no more samples will come; asked only in ``RunMode/untilIdle``.
  /// - Throws: ``PipelineError``, `TrainingError`, or an error of the log that no retry can help.
  public func run(_ mode: RunMode, upstreamIsIdle: @escaping UpstreamCheck = { true }) async throws {
    try await StageRetry.run("train", repeatsFenced: false, logger: logger) { _ in
      try await runOnce(mode, upstreamIsIdle: upstreamIsIdle)
    }
  }

  /// Whether a student of this base model, `nil` for one from scratch, is what this stage trains.
  func startsFrom(_ model: Digest?) throws -> Bool { try base?(functions).digest == model }

  /// Says what is in the folder where no checkpoint there is named in the log, not another student's either: who deleted a topic may
  /// want its records back rather than all of training again.
  func warnOfUnnamedFiles() async throws {
    let files = GarbageCollection.files(in: checkpoints.folder)
    if files.isEmpty { return }
    var isNamed = false
    try await TopicScan.each(log: log, topic: names.checkpoints) { record in
      guard record.value != nil, let checkpoint = try? RecordCoding.value(of: record, as: CheckpointRecord.self) else {
        return
      }
      if checkpoints.contains(checkpoint.digest) { isNamed = true }
    }
    if isNamed { return }
    logger.warning(
      """
      train: starting over from the first sample: \(checkpoints.folder) has \(files.count) files of earlier training, and the topic \
      \(names.checkpoints) names no checkpoint of them; if its records were lost, end this and put them back before \
      `retort models gc` deletes the files
      """)
  }

  private func runOnce(_ mode: RunMode, upstreamIsIdle: @escaping UpstreamCheck) async throws {
    let worker = try await TrainWorker(stage: self, upstreamIsIdle: upstreamIsIdle)
    do {
      try await worker.run(mode)
    } catch let error as MessageLogError where error.code == .fenced {
      await worker.close()
      throw PipelineError(
        .fenced, "train", expected: "to be the only process that trains \(model)", found: "\(error)",
        advice: "stop one of the two")
    } catch {
      await worker.close()
      throw error
    }
    await worker.close()
  }

  /// The newest announced checkpoint of a student, and its newest release point.
  public static func announced(
    log: any MessageLog, names: TopicNames, model: String
  ) async throws -> (progress: CheckpointRecord?, releasePoint: CheckpointRecord?) {
    var progress: CheckpointRecord?
    var releasePoint: CheckpointRecord?
    try await TopicScan.each(log: log, topic: names.checkpoints) { record in
      guard record.value != nil else { return }
      // One that cannot be read is passed over: a bad one must not hide a good one.
      guard let checkpoint = try? RecordCoding.value(of: record, as: CheckpointRecord.self), checkpoint.student == model
      else { return }
      if checkpoint.releasePoint == nil { progress = checkpoint } else { releasePoint = checkpoint }
    }
    return (progress, releasePoint)
  }

  /// The students whose newest checkpoint is no replay's.
  static func liveStudents(log: any MessageLog, names: TopicNames) async throws -> Set<String> {
    var students: Set<String> = []
    try await TopicScan.each(log: log, topic: names.checkpoints) { record in
      guard record.value != nil, let checkpoint = try? RecordCoding.value(of: record, as: CheckpointRecord.self),
        checkpoint.releasePoint == nil
      else { return }
      if checkpoint.isReplay(of: nil) {
        students.insert(checkpoint.student)
      } else {
        students.remove(checkpoint.student)
      }
    }
    return students
  }
}
