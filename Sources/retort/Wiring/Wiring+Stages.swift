import Compression
import Foundation
import Inference
import Logging
import MessageLog
import Pipeline
import Releases
import RetortClient
import Teacher
import Tokenization
import Topics
import Training

/// Which stages a command runs.
struct StageChoice: OptionSet {
  let rawValue: Int

  static let label = StageChoice(rawValue: 1)
  static let train = StageChoice(rawValue: 2)
  static let release = StageChoice(rawValue: 4)
  static let all: StageChoice = [.label, .train, .release]
}

/// What a replay trains, on what, under which name.
struct ReplayPlan {
  let name: String
  /// Where its samples are: the live names, or a relabelling's.
  let names: TopicNames
  let recipe: TrainingRecipe
  let range: ReplayRange
}

extension Wiring {
  /// Runs stages until the mode says to stop.
  ///
  /// - Returns: whether they ended by themselves; else they were told to stop.
  @discardableResult
  func run(
    _ choice: StageChoice, mode: RunMode, log: any MessageLog, teacher: Teacher?, mayTrainAnew: Bool = false,
    logger: Logger,
    observer: @escaping PipelineObserver
  ) async throws -> Bool {
    let services = StageServices(
      label: try choice.contains(.label) ? teacher.map { try label(log: log, teacher: $0, logger: logger) } : nil,
      feedback: try choice.contains(.label) ? teacher.map { try feedback(log: log, teacher: $0, logger: logger) } : nil,
      train: try choice.contains(.train)
        ? train(log: log, mayStartAnew: mayTrainAnew, logger: logger, observer: observer) : nil,
      release: try await choice.contains(.release) ? release(log: log, logger: logger, observer: observer) : nil,
      observer: observer)
    return try await services.run(mode, logger: logger)
  }

  /// Labelling: of all requests, or of a relabelling's into topics of its own.
  func label(
    log: any MessageLog, teacher: Teacher, relabelling: (names: TopicNames, range: RequestRange)? = nil, logger: Logger
  ) throws -> LabelStage {
    LabelStage(
      log: log, names: relabelling?.names ?? names, teacher: teacher, functions: try functions(),
      trustedProducers: Set(configuration.texts("task.trusted_producers")), split: try split(),
      selection: relabelling == nil ? selection() : nil, range: relabelling?.range, logger: logger)
  }

  /// Joining corrections into samples.
  private func feedback(log: any MessageLog, teacher: Teacher, logger: Logger) throws -> FeedbackStage {
    // Who may accept a label may also judge an answer.
    let verifier = teacher.task.verifier.map { _ in AnswerJudging.producer }
    return FeedbackStage(
      log: log, names: names, teacher: teacher, functions: try functions(),
      trustedProducers: Set(configuration.texts("task.trusted_producers")).union(verifier.map { [$0] } ?? []),
      joinsScores: configuration.flag("label.join_scores"), split: try split(), logger: logger)
  }

  /// Which requests are labelled; `nil` for all.
  private func selection() -> LabelSelection? {
    guard configuration.text("label.policy") == "selective" else { return nil }
    return LabelSelection(
      policy: LabellingPolicy(
        auditShare: configuration.number("label.audit_share"),
        heldOutShare: configuration.number("label.held_out_share"),
        driftShare: configuration.number("label.drift_share"),
        confidence: configuration.number("label.confidence"), novelty: configuration.number("label.novelty"),
        dailyBudget: configuration.integer("label.requests_per_day"), salt: configuration.text("split.salt")),
      model: model, store: store, keys: trustedKeys)
  }

  /// Training: of the live student, or a replay.
  func train(
    log: any MessageLog, replay: ReplayPlan? = nil, mayStartAnew: Bool = false, logger: Logger,
    observer: @escaping PipelineObserver
  ) throws -> TrainStage {
    let functions = try functions()
    var base: (@Sendable (FunctionSet) throws -> BaseModel)?
    if let folder = basePath {
      base = {
        try ConfigurationError.checkIsThere(folder, "train.base:", "the folder of a pretrained model")
        return try BaseModel(folder: folder, functions: $0)
      }
    }
    return TrainStage(
      log: log, names: replay?.names ?? names, model: replay?.name ?? model, recipe: try replay?.recipe ?? recipe(),
      functions: functions, base: base, teacher: teacherPath, checkpoints: checkpoints(of: replay?.name ?? model),
      bodies: bodies, range: replay?.range, mayStartAnew: mayStartAnew, logger: logger, observer: observer)
  }

  /// Releasing: the live model's candidates, or a replay's.
  func release(
    log: any MessageLog, replay: ReplayPlan? = nil, logger: Logger, observer: @escaping PipelineObserver
  ) async throws -> ReleaseStage {
    return ReleaseStage(
      log: log, names: replay?.names ?? names, model: replay?.name ?? model,
      checkpoints: checkpoints(of: replay?.name ?? model), store: store, policy: try releasePolicy(),
      key: try await signingKey(log: log), trusted: try keysIfAny() ?? TrustedKeys([]),
      replay: replay.map { Replay.Origin(model: model, range: $0.range) }, teacher: distillationTeacher, logger: logger,
      observer: observer)
  }

  /// Where pretrained bodies are kept.
  var bodies: String { state + "/bodies" }

  /// Where checkpoints lie. A replay has a folder of its own: one process at a time writes to a folder.
  func checkpoints(of name: String) -> CheckpointStore {
    CheckpointStore(folder: name == model ? "\(state)/checkpoints" : replayFolder + name)
  }

  private var replayFolder: String { "\(state)/replays/" }

  /// The replays that have checkpoints here.
  var replays: [String: CheckpointStore] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: replayFolder)) ?? []
    return Dictionary(uniqueKeysWithValues: names.map { ($0, CheckpointStore(folder: replayFolder + $0)) })
  }

  /// This deployment's keys.
  var keys: KeyFolder { KeyFolder(state + "/keys") }

  /// How candidates are made and judged.
  func releasePolicy() throws -> ReleaseStage.Policy {
    let compression = try compressionPolicy()
    let gate = GatePolicy(
      minimumSamples: configuration.integer("release.gate.minimum"),
      margin: configuration.number("release.gate.margin"),
      alpha: configuration.number("release.gate.alpha"),
      compressionMargin: configuration.number("release.gate.compression_margin"),
      bestMargin: configuration.number("release.gate.best_margin"),
      floor: configuration.number("release.gate.floor"),
      sliceAlpha: configuration.number("release.gate.slice_alpha"),
      sliceMinimum: configuration.integer("release.gate.slice_minimum"),
      maximumLatency: configuration.number("release.gate.max_latency_ms"),
      maximumBytes: Int64(configuration.integer("release.gate.max_bytes")),
      window: configuration.integer("release.gate.window"))
    guard gate.window >= gate.minimumSamples else {
      throw ConfigurationError(
        "release.gate.window: expected at least release.gate.minimum, \(gate.minimumSamples), found \(gate.window): "
          + "no release could ever be promoted")
    }
    return ReleaseStage.Policy(
      compression: compression, gate: gate, probes: try probes(),
      alternatives: decoding().alternatives ?? DecodeOptions.standardAlternatives,
      storesInLog: configuration.text("release.store") == "log", licence: configuration.text("release.licence"),
      codeVersion: BuildVersion.text)
  }

  private func compressionPolicy() throws -> CompressionPolicy {
    var object: JSONObject = [:]
    for key in ["prune", "quantize", "calibrate", "importance"] {
      object[key] = .string(configuration.text("release." + key))
    }
    if let removed = configuration.optionalNumber("release.prune") {
      object["prune"] = .string(PruningPlan(feedForwardKeep: 1 - removed).text)
    }
    let steps = configuration.optionalNumber("release.recovery_steps")
    object["recovery_steps"] =
      steps.map { Int64(exactly: $0).map(JSON.integer) ?? .number($0) }
      ?? .string(configuration.text("release.recovery_steps"))
    object["quantization_aware_steps"] = .integer(Int64(configuration.integer("release.quantization_aware_steps")))
    do {
      return try CompressionPolicy(json: .object(object))
    } catch {
      throw ConfigurationError("release, \(error)")
    }
  }

  private func probes() throws -> [Probe] {
    guard let file = configuration.optionalText("release.probes").map({ configuration.resolve($0) }) else { return [] }
    let bytes = try ConfigurationError.within("release.probes") { try InputFile.bytes(file, limit: 1 << 26) }
    return try Probe.read(bytes, name: file)
  }

  /// The key that signs; one is made where nothing has been released yet.
  func signingKey(log: any MessageLog) async throws -> SigningKey {
    let released = try await DeploymentScan(log: log, names: names, keys: nil).releases(of: model)
    return try keys.signingKey(after: released.last?.manifest.signature?.keyID)
  }

  /// The keys whose signatures are believed here.
  func trustedKeys() throws -> TrustedKeys {
    guard let trusted = try keysIfAny() else {
      throw ConfigurationError(
        "no public key to trust: set serve.trusted_keys to the files of who signs the releases (\(state)/keys has none)"
      )
    }
    return trusted
  }

  /// The same, or nil where there is no key: then whoever only looks believes everything.
  func keysIfAny() throws -> TrustedKeys? {
    let files = configuration.texts("serve.trusted_keys").map(configuration.resolve)
    for file in files { try ConfigurationError.checkIsThere(file, "serve.trusted_keys:", "a public key's file") }
    if !files.isEmpty { return try TrustedKeys.load(files) }
    return try keys.publicFile.map { try TrustedKeys.load([$0]) }
  }

  /// What was released and deployed, as those keys have signed it.
  func history(in log: any MessageLog) throws -> DeploymentScan {
    DeploymentScan(log: log, names: names, keys: try keysIfAny())
  }
}
