import Foundation
import Inference
import Logging
import MessageLog
import ModelFiles
import RetortClient
import StudentModel
import Tokenization
import Topics
import Training

/// The owner of the trainer: everything that touches it runs on one thread of its own.
actor TrainWorker {
  private let thread: StageThread
  private let stage: TrainStage
  private let upstreamIsIdle: UpstreamCheck
  private let writer: any TransactionalWriter
  private let reader: any RecordReader
  private let trainer: Trainer
  private var functions: TaskFunctions
  private let partition: TopicPartition
  private let lag: LagMeter
  /// This process is the only one that trains into the folder.
  private var hold: FolderHold?
  private var announcedPosition: Int64 = -1
  /// What the newest release point is of.
  private var releasedChain: Digest?
  /// The files of the last checkpoints between release points, each with its own first.
  private var recent: [[Digest]] = []
  /// Files of release points and of what was written before this process: what others may still need.
  private var kept: Set<Digest> = []
  private var hasWritten = false
  private var hasSaidThatItWaits = false
  private var hasAskedToBegin = false
  /// Sets of functions that the student's own has all of.
  private var contained: Set<Digest> = []

  nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

  init(stage: TrainStage, upstreamIsIdle: @escaping UpstreamCheck) async throws {
    self.stage = stage
    self.upstreamIsIdle = upstreamIsIdle
    thread = StageThread("retort.train")
    partition = TopicPartition(topic: stage.names.samples, partition: 0)
    lag = LagMeter(stage: "train", log: stage.log)
    hold = try await thread.run {
      try FolderHold(.exclusive, on: stage.checkpoints.folder, name: ".trainer", patience: .seconds(5))
    }
    guard hold != nil else {
      throw PipelineError(
        .fenced, stage.checkpoints.folder, expected: "to be the only process that trains into this folder",
        found: "another", advice: "stop it, or give this one a `state` folder of its own")
    }
    // Taking over the transactional id first: an older trainer cannot announce anything after this.
    writer = try await stage.log.transactionalWriter(id: "\(stage.names.prefix)train.\(stage.model)")
    functions = try await TaskFunctions(stage.functions, log: stage.log, names: stage.names)
    let announced = try await TrainStage.announced(log: stage.log, names: stage.names, model: stage.model)
    releasedChain = announced.releasePoint?.chain
    if announced.progress == nil { try await stage.warnOfUnnamedFiles() }
    // An initializer runs where everything waits; and these read gigabytes where there is a base.
    kept = try await thread.run {
      Set(announced.releasePoint.flatMap { try? stage.checkpoints.files(of: $0.digest) } ?? [])
    }
    let begun = try await thread.run { try Self.begun(announced.progress, stage) }
    trainer = begun.trainer
    if let checkpoint = begun.checkpoint {
      if checkpoint.digest != announced.releasePoint?.digest { recent = [[checkpoint.digest]] }
      let digest = trainer.functions.digest
      guard functions[digest] != nil else { throw functions.unknown(digest) }
      announcedPosition = checkpoint.position
      stage.logger.info(
        "train: going on", metadata: ["round": "\(trainer.round)", "position": "\(trainer.position)"])
    }
    reader = try await stage.log.reader(
      of: [partition: Self.start(trainer, stage.range)], options: ReaderOptions(maximumPrefetch: 2_000))
    trainer.predictor = GreedyPredictor()
    trainer.bodyFolder = stage.bodies
    let observer = stage.observer
    trainer.progress = { report in
      observer(.step(report))
      try Task.checkCancellation()
    }
  }

  /// The trainer, restored from the announced checkpoint where it goes on from that.
  private static func begun(
    _ progress: CheckpointRecord?, _ stage: TrainStage
  ) throws -> (trainer: Trainer, checkpoint: CheckpointRecord?) {
    guard let checkpoint = progress, try !startsAnew(instead: checkpoint, stage) else {
      return (try Trainer(recipe: stage.recipe, functions: stage.functions, base: stage.base?(stage.functions)), nil)
    }
    try check(checkpoint, stage)
    let trainer = try Trainer(restoring: checkpoint.digest, from: stage.checkpoints, recipe: stage.recipe)
    try checkBase(trainer.modelDigest, checkpoint, stage)
    return (trainer, checkpoint)
  }

  /// Whether the checkpoint is lost or of another recipe or base, and the stage was told to start over then: a student is a
  /// function of its base, its samples and its recipe.
  private static func startsAnew(instead checkpoint: CheckpointRecord, _ stage: TrainStage) throws -> Bool {
    guard stage.mayStartAnew else { return false }
    let summary = try? stage.checkpoints.summary(of: checkpoint.digest)
    let reason: String
    // The checkpoint itself knows its recipe in today's keys, the topic in those of the program that wrote it.
    let recipe = summary?.recipe.digest ?? checkpoint.recipe
    if recipe != stage.recipe.digest || checkpoint.numerics != stage.recipe.numerics {
      reason = "of another recipe"
    } else if summary?.files.allSatisfy(stage.checkpoints.contains) != true {
      reason = "lost"
    } else if let summary, try !stage.startsFrom(summary.modelDigest) {
      reason = "of another base"
    } else {
      return false
    }
    stage.logger.warning(
      "train: starting over from the first sample, since the checkpoint is \(reason)",
      metadata: ["checkpoint": "\(stage.checkpoints.path(of: checkpoint.digest))"])
    return true
  }

  private static func start(_ trainer: Trainer, _ range: ReplayRange?) -> StartPosition {
    guard let range else { return trainer.position == 0 ? .earliest : .offset(trainer.position) }
    // The cut at the end of a range has no place in the log.
    return .offset(min(max(trainer.position, range.offsets.lowerBound), range.offsets.upperBound))
  }

  /// A replay goes on only from a checkpoint of the same samples.
  private static func check(_ checkpoint: CheckpointRecord, _ stage: TrainStage) throws {
    guard checkpoint.isReplay(of: stage.range) else {
      let place = checkpoint.replayedOffsets.map { " (offsets \($0.lowerBound) to \($0.upperBound - 1))" } ?? ""
      throw PipelineError(
        .checkpoint, stage.model,
        expected: stage.range == nil ? "no checkpoints of a replay" : "checkpoints of this range",
        found: "some of other samples" + place, advice: "choose another name")
    }
  }

  /// A student goes on only from the base that is configured.
  private static func checkBase(_ digest: Digest?, _ checkpoint: CheckpointRecord, _ stage: TrainStage) throws {
    guard try !stage.startsFrom(digest) else { return }
    throw TrainingError(
      .checkpointMismatch, context: stage.checkpoints.path(of: checkpoint.digest),
      expected: stage.base == nil ? "a student from scratch, as no train.base is set" : "a student of this train.base",
      found: digest.map { "one of the base \($0.hex)" } ?? "one from scratch",
      advice: "restore train.base, or start over from the first sample with this one: `retort train --anew`")
  }

  func close() async {
    await reader.close()
    await writer.close()
    hold = nil
  }

  func run(_ mode: RunMode) async throws {
    if stage.range == nil { try await eraseAgain() }
    // What was due when the last process ended.
    try await work()
    while !Task.isCancelled {
      let records = try await reader.next(maximum: 1_000, timeout: .milliseconds(250))
      for record in records where stage.range?.holds(record) ?? true {
        try Task.checkCancellation()
        guard let input = try await read(record) else { continue }
        try trainer.enqueue(input, offset: record.offset)
        try await work()
      }
      lag.note([partition: trainer.position])
      if records.isEmpty, mode == .forever, stage.range == nil { try await beginOrWait() }
      if let range = stage.range {
        if try await finish(range) { return }
      } else if records.isEmpty, mode == .untilIdle, try await finish() {
        return
      }
    }
    try Task.checkCancellation()
  }

  /// What a deletion request erased while nobody trained is said again where compaction took its tombstone, or the memory would keep
  /// it for ever. In the log, so that every restart forgets it at the same place. A replay knows from its range what it leaves out.
  private func eraseAgain() async throws {
    let missed = try await Erasures.missed(trainer.memory.entries, log: stage.log, names: stage.names)
    if missed.isEmpty { return }
    _ = try await writer.commit(append: missed, offsets: nil)
    stage.logger.notice(
      "train: samples that were erased while training was away are forgotten", metadata: ["samples": "\(missed.count)"])
  }

  /// A student from scratch learns its tokens from many requests. Where no more come for now, those between two releases are
  /// enough: a cut in the log begins with them, so that every replay does too.
  private func beginOrWait() async throws {
    guard trainer.student == nil, trainer.pendingSamples > 0, !hasAskedToBegin, try await hasReachedEnd else { return }
    let enough = min(stage.recipe.releaseEvery, stage.recipe.tokenizerSamples)
    guard trainer.pendingSamples < enough else {
      hasAskedToBegin = true
      return try await appendCut()
    }
    guard !hasSaidThatItWaits else { return }
    hasSaidThatItWaits = true
    stage.logger.notice(
      """
      train: a student from scratch begins with \(enough) training samples (release.every, or fewer: tokenizer_samples of \
      train.recipe), and there are \(trainer.pendingSamples); `retort train --until-idle` begins with what is there
      """)
  }

  /// Whether all that the log holds has been read.
  private var hasReachedEnd: Bool {
    get async throws {
      let marks = try await stage.log.watermarks(of: partition)
      let reached = await reader.positions[partition] ?? trainer.position
      return reached >= marks.high || marks.low == marks.high
    }
  }

  private func appendCut() async throws {
    let cut = SampleRecord.cut(after: trainer.chain)
    _ = try await writer.commit(
      append: [RecordCoding.record(cut, topic: stage.names.samples, key: cut.id, partition: 0)], offsets: nil)
  }

  /// Does what is due and announces it.
  private func work() async throws {
    while let event = try advance() {
      switch event {
      case .started(let vocabularySize, let parameterCount):
        stage.observer(.studentStarted(vocabularySize: vocabularySize, parameterCount: parameterCount))
      case .round(let report):
        for sample in report.skipped {
          stage.logger.warning(
            "train: sample left out", metadata: ["id": "\(sample.id)", "reason": "\(sample.reason)"])
        }
        try await announce(releasePoint: nil)
        StageMetrics.trained(report)
        stage.observer(
          .round(report, samplesSeen: trainer.samplesSeen, recent: trainer.recentPrequential.score))
      case .releasePoint(let point):
        try await announce(releasePoint: point.number)
        stage.observer(.releasePoint(point))
      }
    }
  }

  /// The next piece of work. What a teacher lacks is said before the first round, not when all is learned and a release is due.
  private func advance() throws -> TrainerEvent? {
    let recipe = stage.recipe
    if trainer.round == 0, trainer.isWorkDue, recipe.teacherDigest != nil, let path = stage.teacher,
      let tokenizer = trainer.tokenizer, let sizes = trainer.configuration
    {
      try DistillationTeacher.check(
        path: path, tokenizer: tokenizer, positions: min(recipe.maximumSequence, sizes.maximumPositions))
    }
    return try trainer.advance()
  }

  /// Writes a checkpoint, then says so on the log.
  private func announce(releasePoint: Int?) async throws {
    let use = try GarbageCollection.use(of: stage.checkpoints.folder)
    defer { withExtendedLifetime(use) {} }
    let file = try trainer.checkpoint(to: stage.checkpoints)
    var record = CheckpointRecord(
      student: stage.model, digest: file.digest, uri: "file:\(stage.checkpoints.path(of: file.digest))",
      chain: trainer.chain, position: min(trainer.position, stage.range?.offsets.upperBound ?? .max),
      samplesSeen: file.samplesSeen, round: trainer.round,
      releasePoint: releasePoint, prequential: trainer.recentPrequential.score, numerics: stage.recipe.numerics,
      recipe: stage.recipe.digest
    ).replaying(stage.range)
    record.isDrifting = trainer.isDrifting
    var records = [try coded(record)]
    if releasePoint != nil {
      // The trunk goes on from here too: after a crash it must not announce the same release point again.
      var progress = record
      progress.releasePoint = nil
      records.append(try coded(progress))
    }
    _ = try await writer.commit(append: records, offsets: nil)
    announcedPosition = trainer.position
    if releasePoint != nil { releasedChain = trainer.chain }
    // Its samples are in files that release points before this process may name too.
    if !hasWritten { kept.formUnion(file.files.dropFirst()) }
    hasWritten = true
    if releasePoint == nil { retire(after: file.files) } else { kept.formUnion(file.files) }
  }

  /// Deletes the checkpoint before the last two, and what only it needs; those of release points stay until `retort models gc`.
  private func retire(after files: [Digest]) {
    recent.append(files)
    guard recent.count > 2 else { return }
    let old = recent.removeFirst()
    let needed = kept.union(recent.joined())
    for file in old where !needed.contains(file) {
      do {
        try FileManager.default.removeItem(atPath: stage.checkpoints.path(of: file))
      } catch {
        stage.logger.info("train: old checkpoint not deleted", metadata: ["reason": "\(error)"])
      }
    }
  }

  private func coded(_ record: CheckpointRecord) throws -> NewRecord {
    try RecordCoding.checked(record, topic: stage.names.checkpoints, key: record.key)
  }

  /// A record of `samples` as training sees it; one that cannot be read is left out, and said. The functions of the student
  /// become those of the sample where these are more.
  ///
  /// - Throws: `ClientError` `unknown_schema` for a sample of another major version: passed over here, it would be lost to this student
  ///   for good, where a build that knows it learns it.
  private func read(_ record: Record) async throws -> TrainingInput? {
    guard record.value != nil else {
      return record.key.map { .tombstone(String(decoding: $0, as: UTF8.self)) }
    }
    let sample: SampleRecord
    do {
      sample = try RecordCoding.value(of: record, as: SampleRecord.self)
    } catch {
      let isSample = error.found.hasPrefix(SampleRecord.topic.name + "/")
      if error.code == .unknownSchema, isSample, record.offset >= trainer.position { throw error }
      stage.logger.error("train: record left out", metadata: ["reason": "\(error)"])
      return nil
    }
    if record.offset >= trainer.position, let digest = sample.functionsDigest { try await follow(digest) }
    return TrainingInput(sample)
  }

  private func follow(_ digest: Digest) async throws {
    guard digest != trainer.functions.digest, !contained.contains(digest) else { return }
    let before = trainer.functions
    if functions[digest] == nil {
      functions = try await TaskFunctions(stage.functions, log: stage.log, names: stage.names)
    }
    guard let set = functions[digest] else { throw functions.unknown(digest) }
    guard try trainer.follow(set, base: { try stage.base?(set) }) else {
      contained.insert(digest)
      return
    }
    contained = []
    let added = set.names.filter { before[$0] == nil }
    guard trainer.samplesSeen > 0, !added.isEmpty else { return }
    stage.observer(.functionsAdded(added, parameterCount: trainer.parameterCount))
  }

  /// At the end of a replay's range: closes the last round as a cut record would, in memory, for the log is not its own. Where
  /// the range ends with a release point, that is what it makes, as the live student did, whatever waits for its round.
  private func finish(_ range: ReplayRange) async throws -> Bool {
    guard await reader.positions[partition] ?? 0 >= range.offsets.upperBound else { return false }
    if releasedChain != trainer.chain, trainer.pendingSamples > 0 || trainer.state.sinceRelease > 0 {
      let cut = SampleRecord.cut(after: trainer.chain)
      try trainer.enqueue(.cut(cut.digest), offset: max(trainer.position, range.offsets.upperBound))
      try await work()
    }
    return true
  }

  /// At the end of the samples: asks for the last release, or says that all is done.
  private func finish() async throws -> Bool {
    guard try await upstreamIsIdle() else { return false }
    guard try await hasReachedEnd else { return false }
    if trainer.pendingSamples > 0 || trainer.state.sinceRelease > 0 {
      try await appendCut()
      return false
    }
    if trainer.position > announcedPosition, trainer.round > 0 { try await announce(releasePoint: nil) }
    return true
  }
}

/// Prequential predictions through the decoder that serves, without its search for better answers: what a trainer does must not
/// depend on how long that search is.
struct GreedyPredictor: CallPredictor {
  func predict(
    _ requests: [[ChatMessage]], student: Student, tokenizer: Tokenizer, functions: FunctionSet
  ) throws -> [Call?] {
    let model = try ServingModel(student: student, tokenizer: tokenizer, functions: functions)
    return try Answering.calls(of: requests, model: model, options: DecodeOptions(alternatives: 0))
  }
}
