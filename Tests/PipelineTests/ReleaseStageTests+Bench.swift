import Compression
import DemoWorld
import Foundation
import Logging
import MessageLog
import Pipeline
import Releases
import RetortClient
import SQLiteLog
import Testing
import Topics
import Training

extension ReleaseStageTests {
  /// A trained student that waits for its release.
  struct Bench: Sendable {
    let labels: LabelStageTests.Bench
    let key = SigningKey.generate()
    let checkpoints: CheckpointStore
    static let model = "home"
    var log: SQLiteLog { labels.log }
    var names: TopicNames { labels.names }
    var history: DeploymentScan { DeploymentScan(log: log, names: names, keys: TrustedKeys([key.publicKey])) }

    /// - Parameter count: how many requests are learned from at first.
    init(learning count: Int = 60) async throws {
      labels = try await LabelStageTests.Bench()
      checkpoints = CheckpointStore(folder: labels.folder + "/checkpoints")
      if count > 0 { try await learn(0..<count) }
    }

    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Labels requests that come with an answer, and trains on them up to a release point.
    func learn(
      _ range: Range<Int>, mayStartAnew: Bool = false, seed: Int = 0, sequence: Int = 512, model: String = Self.model,
      recipe: TrainingRecipe? = nil, over other: (any MessageLog)? = nil, logger: Logger = Self.quiet
    ) async throws {
      let grammar = RequestGrammar(seed: 7)
      for index in range {
        let request = grammar.request(at: index)
        var record = RequestRecord(id: "\(index)", text: request.text)
        record.response = RequestResponse(producer: "import", call: request.call)
        try await labels.append(record.json.text, key: "\(index)")
      }
      try await labels.label()
      try await TrainStage(
        log: other ?? log, names: names, model: model, recipe: recipe ?? Self.recipe(seed: seed, sequence: sequence),
        functions: try HomeFunctions.functions(), checkpoints: checkpoints, mayStartAnew: mayStartAnew,
        logger: logger
      ).run(.untilIdle)
    }

    /// A student of a few weights.
    static func recipe(
      seed: Int = 0, sequence: Int = 512, tokenizerSamples: Int = 8, roundSize: Int = 8, releaseEvery: Int = 30
    ) throws -> TrainingRecipe {
      try TrainingRecipe(json: [
        "hidden_size": 32, "layer_count": 1, "head_count": 2, "key_value_head_count": 1, "feed_forward_size": 32,
        "vocabulary_size": 400, "space_fused_pieces": 8, "tokenizer_samples": .integer(Int64(tokenizerSamples)),
        "round_size": .integer(Int64(roundSize)), "replay_per_sample": 1,
        "release_every": .integer(Int64(releaseEvery)), "decay_steps": 1, "candidate_steps": 0,
        "base_steps": 2, "base_batch_size": 2,
        "seed": .integer(Int64(seed)), "maximum_sequence": .integer(Int64(sequence)),
      ])
    }

    /// Replays the samples up to an offset, all by default, under another name.
    func replay(
      to end: Int64? = nil, as name: String, recipe: TrainingRecipe? = nil,
      _ compression: CompressionPolicy = Self.compression, observer: @escaping PipelineObserver = { _ in }
    ) async throws -> Manifest {
      let latest = try await log.watermarks(of: TopicPartition(topic: names.samples, partition: 0)).high
      let range = try await ReplayRange(0..<(end ?? latest), log: log, names: names)
      let checkpoints = replayed(name)
      let train = TrainStage(
        log: log, names: names, model: name, recipe: try recipe ?? Self.recipe(),
        functions: try HomeFunctions.functions(), checkpoints: checkpoints, range: range, logger: Self.quiet)
      let release = ReleaseStage(
        log: log, names: names, model: name, checkpoints: checkpoints,
        store: ContentStore(folder: labels.folder + "/store"),
        policy: .init(compression: compression, gate: Self.gate, codeVersion: "0.1.0"), key: key,
        replay: .init(model: Self.model, range: range), logger: Self.quiet, observer: observer)
      return try await Replay(train: train, release: release, range: range).run()
    }

    /// The checkpoints of a replay.
    func replayed(_ name: String) -> CheckpointStore { CheckpointStore(folder: labels.folder + "/replays/" + name) }

    static var compression: CompressionPolicy {
      var compression = CompressionPolicy()
      compression.prune = PruningPlan(feedForwardKeep: 1)
      return compression
    }

    private static var gate: GatePolicy {
      GatePolicy(minimumSamples: 1, margin: 1, alpha: 1, compressionMargin: 1, bestMargin: 1, sliceAlpha: 1e-9)
    }

    /// Releases all that waits, whatever it is worth; with a folder, into files there instead of the log.
    func release(
      _ compression: CompressionPolicy = Self.compression, model: String = Self.model, filesIn folder: String? = nil,
      over hooked: HookedLog? = nil, observer: @escaping PipelineObserver = { _ in }
    ) async throws {
      try await ReleaseStage(
        log: hooked ?? log, names: names, model: model, checkpoints: checkpoints,
        store: ContentStore(folder: folder ?? labels.folder + "/store"),
        policy: .init(compression: compression, gate: Self.gate, storesInLog: folder == nil, codeVersion: "0.1.0"),
        key: key,
        logger: Self.quiet, observer: observer
      ).run(.untilIdle)
    }

    /// Deploys a version as `retort models promote` does.
    func promote(_ version: Int) async throws {
      let writer = try await log.transactionalWriter(
        id: ReleaseStage.transactionalID(of: Self.model, names: names))
      let manifest = try #require(
        try await history.releases(of: Self.model).first { $0.manifest.version == version }?.manifest)
      try await deploy(manifest, epoch: try await history.nextEpoch(of: Self.model), key: key) {
        _ = try await writer.commit(append: [$0], offsets: nil)
      }
      await writer.close()
    }

    func deploy(
      _ manifest: Manifest, epoch: Int64, key: SigningKey?, reason: String = "by hand",
      append: (NewRecord) async throws -> Void
    ) async throws {
      var record = DeploymentRecord(
        epoch: epoch, action: .promote, manifest: manifest, reason: reason, time: "2026-01-01T00:00:00Z")
      if let key { record = try key.sign(record) }
      try await append(RecordCoding.record(record, topic: names.models, key: Self.model))
    }

    /// A checkpoint as another program would have written it: a text of its header is exchanged for one as long.
    func rewrite(_ digest: Digest, _ old: String, _ new: String) throws -> Digest {
      try #require(old.utf8.count == new.utf8.count)
      var bytes = try Data(contentsOf: URL(fileURLWithPath: checkpoints.path(of: digest)))
      bytes.replaceSubrange(try #require(bytes.range(of: Data(old.utf8))), with: Data(new.utf8))
      let other = Digest.sha256(Array(bytes))
      try FileManager.default.createDirectory(
        atPath: "\(checkpoints.folder)/\(other.hex.prefix(2))", withIntermediateDirectories: true)
      try bytes.write(to: URL(fileURLWithPath: checkpoints.path(of: other)))
      return other
    }

    func deployments() async throws -> [DeploymentRecord] {
      var found: [DeploymentRecord] = []
      try await TopicScan.each(log: log, topic: names.models) { found.append(try RecordCoding.value(of: $0)) }
      return found
    }
  }
}
