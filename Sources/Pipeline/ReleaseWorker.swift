import Compression
import Evaluation
import Foundation
import Inference
import Logging
import MessageLog
import ModelFiles
import Releases
import RetortClient
import StudentModel
import Tokenization
import Topics
import Training

/// Makes and measures one candidate, on a thread of its own.
actor ReleaseWorker {
  private let thread: StageThread
  private let stage: ReleaseStage

  nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

  init(stage: ReleaseStage) {
    self.stage = stage
    thread = StageThread("retort.release")
  }

  /// From a release point to the records that release it.
  func release(_ checkpoint: CheckpointRecord, point: Int) async throws -> FinishedCandidate {
    let own = try await stage.history.releases(of: stage.model)
    let version = (own.map(\.manifest.version).max() ?? 0) + 1
    // What a stranger signed is no try, and nothing to be compared with.
    let history = (stage.replay == nil ? own : try await stage.history.releases(of: stage.incumbent))
      .filter { stage.history.trusts($0.manifest) }
    let deployed = try await deployed()
    let epoch = try await stage.history.nextEpoch(of: stage.incumbent)
    // A replay is measured on all held-out samples: no training ever sees one, whatever its range.
    let end = stage.replay == nil ? GateWindow.end(of: checkpoint.position, after: history.map(\.manifest)) : .max
    let samples = try await HeldOutSamples(
      log: stage.log, names: stage.names, before: end, consumed: stage.replay == nil ? checkpoint.position : nil,
      gateLimit: stage.policy.gate.window)
    if samples.trained > 0 {
      stage.logger.notice(
        """
        release: \(samples.trained) held-out samples are left out, since the same texts were trained on; that is so where \
        split.gate, split.dev or split.salt was changed
        """)
    }
    warnOfFewSamples(samples.gate.count, version: version)

    let work = try GarbageCollection.workFolder("\(stage.model)-\(point)", in: stage.store.folder)
    defer {
      try? FileManager.default.removeItem(atPath: work.path)
      withExtendedLifetime(work.hold) {}
    }
    let made = try make(checkpoint, version: version, folder: work.path)

    stage.observer(.candidate(version: version, part: "gate"))
    let rivals = try await rivals(history: history, deployed: deployed)
    let context = GateContext(history: history, deployed: deployed, window: samples.window)
    let weights = try Self.read(made.weightsPath)
    let measured = try GateMeasurement(
      candidate: ServingModel(gguf: made.weightsPath), parent: made.parent, rivals: rivals, samples: samples.gate,
      questions: stage.policy.probes.isEmpty
        ? Probe.questions(for: made.functions) : stage.policy.probes.map(\.messages),
      bytes: Int64(weights.count), look: context.look)
    let verdict = Gate.verdict(measured.measurements, policy: stage.policy.gate)
    let confidence = try ConfidenceThreshold(on: samples.dev, model: measured.candidateModel)
    let use = try GarbageCollection.use(of: stage.store.folder)
    let files = try await store(made, weights: weights, probes: measured.probes, after: own.last?.manifest)
    let now = RFC3339.text(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
    let manifest = try stage.key.sign(
      ManifestBuilder(
        stage: stage, checkpoint: checkpoint, version: version, made: made, samples: samples, files: files,
        verdict: verdict, context: context, measured: measured, confidence: confidence,
        parent: stage.replay == nil ? deployed?.manifestDigest : nil, created: now
      ).manifest)
    return FinishedCandidate(
      manifest: manifest, use: use,
      records: try records(manifest: manifest, verdict: verdict, epoch: epoch, now: now),
      summary: summary(manifest: manifest, verdict: verdict, made: made, measured: measured))
  }

  /// What subscribers run now.
  private func deployed() async throws -> DeploymentRecord? {
    let standing = try await stage.history.standing(of: stage.incumbent)
    if let refused = standing.refused {
      stage.logger.warning("release: a deployment is passed over", metadata: ["reason": "\(refused)"])
    }
    return standing.newest
  }

  /// Said before the minutes that a candidate takes, since nothing in it can change that verdict.
  private func warnOfFewSamples(_ count: Int, version: Int) {
    let minimum = stage.policy.gate.minimumSamples
    guard count < minimum else { return }
    stage.logger.notice(
      """
      release: version \(version) will be measured but not promoted: \(count) held-out gate samples, \(minimum) needed \
      (release.gate.minimum); label more requests, or lower the minimum
      """)
  }

  // MARK: - Making

  private func make(_ checkpoint: CheckpointRecord, version: Int, folder: String) throws -> MadeCandidate {
    stage.observer(.candidate(version: version, part: "branch"))
    let trainer = try Trainer(restoring: checkpoint.digest, from: stage.checkpoints)
    guard !trainer.trainingSamples.isEmpty else {
      throw TrainingError(
        .notReady, context: "the release point", expected: "samples that were learned",
        found: "none: all were left out or erased",
        advice: "look at the warnings of training; where requests are too long, raise the recipe's maximum_sequence")
    }
    let observer = stage.observer
    trainer.progress = { report in
      observer(.step(report))
      try Task.checkCancellation()
    }
    let branch = try trainer.branch(teacher: try trainer.teacher(stage.teacher))
    report(branch.refinement)
    stage.observer(.candidate(version: version, part: "compress"))
    let path = folder + "/model.gguf"
    let parent = try uncompressed(branch, trainer)
    var description = StudentDescription()
    description.name = stage.incumbent
    description.metadata = parent.metadata.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    let policy = stage.compression(of: trainer.recipe, hasBase: trainer.modelDigest != nil)
    let report = try Compressor.compress(
      parent: branch.student, tokenizer: branch.tokenizer, functions: trainer.functions,
      recentSamples: trainer.recentSamples(policy.activationSamples), trainingSamples: trainer.trainingSamples,
      policy: policy, recipe: trainer.recipe, output: path, description: description,
      progress: { report in
        observer(.step(report))
        try Task.checkCancellation()
      })
    return MadeCandidate(
      weightsPath: path, grammarPath: report.grammar?.path ?? Compressor.grammarPath(beside: path), report: report,
      compression: policy, parent: parent, functions: trainer.functions,
      recipe: trainer.recipe, baseDigest: trainer.baseDigest)
  }

  /// The student as it is before compression, held to whole words where its labels are; it answers as its release will.
  private func uncompressed(_ branch: StudentBranch, _ trainer: Trainer) throws -> ServingModel {
    let model = try ServingModel(student: branch.student, tokenizer: branch.tokenizer, functions: trainer.functions)
    let sayable = model.sayable(
      trainer.recentSamples(SayableLabels.deciding).map { ($0.messages, $0.call) })
    warnOfUnsayable(sayable)
    return try ServingModel(
      model: model.model, functions: trainer.functions,
      metadata: Dictionary(uniqueKeysWithValues: sayable.metadata(alternatives: stage.policy.alternatives)))
  }

  /// Said where more than one in a hundred labels is such: a student of 0 % may be right in all that it may say.
  private func warnOfUnsayable(_ labels: SayableLabels) {
    let lost = labels.count - labels.pieces
    guard lost * 100 > labels.count else { return }
    stage.logger.warning(
      """
      release: \(lost) of the newest \(labels.count) labels can be no answer of a student, whose strings are pieces of the \
      request and whose numbers have 64 bits, or nine digits before and behind the point: word strings as the request does, or declare \
      what they may be as an enum; `task.grounded` refuses such labels
      """)
  }

  private func report(_ refinement: RefinementReport) {
    if let imitation = refinement.imitation {
      stage.logger.info(
        "release: distillation on the student's own answers",
        metadata: [
          "steps": "\(imitation.steps)", "divergence_first": "\(imitation.first)",
          "divergence_last": "\(imitation.last)",
        ])
    }
    if let rejection = refinement.rejection {
      stage.logger.info(
        "release: answers of the student's own",
        metadata: [
          "requests": "\(rejection.requests)", "joined": "\(rejection.joined)", "all_right": "\(rejection.allRight)",
          "all_wrong": "\(rejection.allWrong)", "steps": "\(rejection.steps)",
        ])
    }
    if let reward = refinement.reward {
      stage.logger.info(
        "release: reinforcement learning",
        metadata: [
          "steps": "\(reward.steps)", "reward_first": "\(reward.first)", "reward_last": "\(reward.last)",
          "useful_groups": "\(reward.usefulGroups)",
        ])
    }
  }

  /// The models that the candidate is compared with: what serves, and the best so far where that is another.
  private func rivals(
    history: [(manifest: Manifest, verdict: ReleaseVerdict?)], deployed: DeploymentRecord?
  ) async throws -> GateMeasurement.Rivals {
    var rivals = GateMeasurement.Rivals()
    if let deployed { rivals.incumbent = try await load(deployed.manifest) }
    guard let best = GateContext.best(of: history), best.digest != deployed?.manifestDigest else { return rivals }
    do {
      rivals.best = try await load(best)
    } catch let error where error is ClientError || error is ReleaseError {
      // It went with the log's compaction or the like: the incumbent is there to be compared with.
      stage.logger.warning(
        "release: the best release is left out of the comparison",
        metadata: ["version": "\(best.version)", "reason": "\(error)"])
    }
    return rivals
  }

  /// A released model, from the store or, where it is gone, from where its manifest says.
  private func load(_ manifest: Manifest) async throws -> ServingModel {
    guard let file = manifest.weights else {
      throw PipelineError(
        .notFound, "\(stage.model) version \(manifest.version)", expected: "a manifest that names weights",
        found: "none", advice: "release the model again")
    }
    let fetcher = ArtifactFetcher(log: stage.log, names: stage.names)
    return try ServingModel(gguf: try await stage.store.path(of: file, fetcher: fetcher))
  }

  // MARK: - Writing

  /// Puts a release's files where subscribers find them.
  ///
  /// - Parameter newest: The model's newest release: chunks of this one that a process left behind when it was killed come later.
  private func store(
    _ made: MadeCandidate, weights: [UInt8], probes: [Probe], after newest: Manifest?
  ) async throws -> [ManifestFile] {
    let parts: [(role: ManifestFile.Role, format: String, bytes: [UInt8])] = [
      (.weights, "gguf", weights), (.grammar, "gbnf", try Self.read(made.grammarPath)),
      (.probes, "jsonl", Probe.write(probes)),
    ]
    let digests = try parts.map { try stage.store.put($0.bytes) }
    let addresses: [String]
    if stage.policy.storesInLog {
      let before = newest?.weights.flatMap { $0.uri.hasPrefix("log:") ? Int64($0.uri.dropFirst(4)) : nil }
      addresses = try await ArtifactWriter(log: stage.log, names: stage.names)
        .write(zip(digests, parts).map { ($0, $1.bytes) }, lookingFrom: before ?? 0).map { "log:\($0)" }
    } else {
      addresses = digests.map { "file:\(stage.store.path(of: $0))" }
    }
    return parts.indices.map { index in
      ManifestFile(
        role: parts[index].role, format: parts[index].format, bytes: Int64(parts[index].bytes.count),
        sha256: digests[index], uri: addresses[index])
    }
  }

  private static func read(_ path: String) throws -> [UInt8] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw PipelineError(
        .store, path, expected: "the file that was just written", found: "nothing that can be read",
        advice: "check the disk")
    }
    return [UInt8](data)
  }

  private func records(
    manifest: Manifest, verdict: Gate.Verdict, epoch: Int64, now: String
  ) throws -> [NewRecord] {
    var records = [
      try RecordCoding.checked(ReleaseRecord(manifest: manifest), topic: stage.names.releases, key: stage.model)
    ]
    // A replay's candidate has its evidence in the manifest; whether it is deployed is for a person to say.
    guard stage.replay == nil else { return records }
    let judged = ReleaseVerdict(
      model: stage.model, version: manifest.version, manifestDigest: manifest.digest, promoted: verdict.isPromoted,
      reasons: verdict.reasons, evidence: verdict.evidence, time: now)
    records.append(
      try RecordCoding.checked(ReleaseRecord(verdict: judged), topic: stage.names.releases, key: stage.model))
    if verdict.isPromoted {
      let deployment = try stage.key.sign(
        DeploymentRecord(
          epoch: epoch, action: .promote, manifest: manifest,
          reason: String(verdict.reasons.joined(separator: "; ").prefix(1_000)), time: now))
      records.append(try RecordCoding.checked(deployment, topic: stage.names.models, key: stage.model))
    }
    return records
  }

  private func summary(
    manifest: Manifest, verdict: Gate.Verdict, made: MadeCandidate, measured: GateMeasurement
  ) -> ReleaseSummary {
    let isMeasured = measured.report.count > 0
    return ReleaseSummary(
      version: manifest.version, isPromoted: verdict.isPromoted, reasons: verdict.reasons,
      sha256: manifest.weights?.sha256 ?? manifest.digest, bytes: Int(manifest.weights?.bytes ?? 0),
      parameters: Int(manifest.parameters), parentParameters: made.report.parametersBefore,
      gateSamples: measured.report.count, exactMatch: isMeasured ? measured.report.exactMatch.estimate : nil,
      parentExactMatch: isMeasured ? measured.parentExactMatch : nil,
      latencyP50: isMeasured ? measured.report.latency.p50 : nil)
  }
}

/// A candidate's files and the student it was made from.
struct MadeCandidate {
  let weightsPath: String
  let grammarPath: String
  let report: CompressionReport
  /// How it was compressed.
  let compression: CompressionPolicy
  let parent: ServingModel
  /// What the student may call: of all samples that it has seen.
  let functions: FunctionSet
  let recipe: TrainingRecipe
  let baseDigest: Digest?
}
