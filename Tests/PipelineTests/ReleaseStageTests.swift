import Compression
import DemoWorld
import Dispatch
import Foundation
import Logging
import MessageLog
import ModelFiles
import Pipeline
import Releases
import RetortClient
import SQLiteLog
import StudentModel
import Synchronization
import Testing
import Topics
import Training

/// The release stage over the embedded log, with a student of a few weights.
@Suite struct ReleaseStageTests {
  /// A trained student that waits for its release.
  struct Bench: Sendable {
    let labels: LabelStageTests.Bench
    let key = SigningKey.generate()
    let checkpoints: CheckpointStore
    static let model = "home"
    var log: SQLiteLog { labels.log }
    var names: TopicNames { labels.names }
    var history: DeploymentScan { DeploymentScan(log: log, names: names, keys: TrustedKeys([key.publicKey])) }

    init() async throws {
      labels = try await LabelStageTests.Bench()
      checkpoints = CheckpointStore(folder: labels.folder + "/checkpoints")
      try await learn(0..<60)
    }

    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Labels requests that come with an answer, and trains on them up to a release point.
    func learn(_ range: Range<Int>, mayStartAnew: Bool = false, seed: Int = 0, sequence: Int = 512) async throws {
      let grammar = RequestGrammar(seed: 7)
      for index in range {
        let request = grammar.request(at: index)
        var record = RequestRecord(id: "\(index)", text: request.text)
        record.response = RequestResponse(producer: "import", call: request.call)
        try await labels.append(record.json.text, key: "\(index)")
      }
      try await labels.label()
      let recipe = try TrainingRecipe(json: [
        "hidden_size": 32, "layer_count": 1, "head_count": 2, "key_value_head_count": 1, "feed_forward_size": 32,
        "vocabulary_size": 400, "space_fused_pieces": 8, "tokenizer_samples": 8, "round_size": 8,
        "replay_per_sample": 1,
        "release_every": 30, "decay_steps": 1, "candidate_steps": 0, "seed": .integer(Int64(seed)),
        "maximum_sequence": .integer(Int64(sequence)),
      ])
      try await TrainStage(
        log: log, names: names, model: Self.model, recipe: recipe, functions: try HomeFunctions.functions(),
        checkpoints: checkpoints, mayStartAnew: mayStartAnew, logger: Self.quiet
      ).run(.untilIdle)
    }

    static var compression: CompressionPolicy {
      var compression = CompressionPolicy()
      compression.prune = PruningPlan(feedForwardKeep: 1)
      return compression
    }

    /// Releases all that waits, whatever it is worth; with a folder, into files there instead of the log.
    func release(
      _ compression: CompressionPolicy = Self.compression, filesIn folder: String? = nil,
      observer: @escaping PipelineObserver = { _ in }
    ) async throws {
      let gate = GatePolicy(
        minimumSamples: 1, margin: 1, alpha: 1, compressionMargin: 1, bestMargin: 1, sliceAlpha: 1e-9)
      try await ReleaseStage(
        log: log, names: names, model: Self.model, checkpoints: checkpoints,
        store: ContentStore(folder: folder ?? labels.folder + "/store"),
        policy: .init(compression: compression, gate: gate, storesInLog: folder == nil, codeVersion: "0.1.0"), key: key,
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

    func deployments() async throws -> [DeploymentRecord] {
      var found: [DeploymentRecord] = []
      try await TopicScan.each(log: log, topic: names.models) { found.append(try RecordCoding.value(of: $0)) }
      return found
    }
  }

  @Test("a deployment by hand while a candidate is measured stays; the candidate is measured again, and comes after it")
  func byHand() async throws {
    let bench = try await Bench()
    try await bench.release()
    let before = try await bench.deployments().count
    try await bench.learn(60..<120)
    let isFirst = Atomic(true)
    try await bench.release { event in
      guard case .candidate(_, part: "gate") = event, isFirst.exchange(false, ordering: .relaxed) else { return }
      // The stage's thread may wait: the log and the writer have threads of their own.
      let done = DispatchSemaphore(value: 0)
      Task {
        try await bench.promote(1)
        done.signal()
      }
      done.wait()
    }
    let deployments = try await bench.deployments()
    #expect(deployments.map(\.epoch) == (1...Int64(deployments.count)).map { $0 })
    #expect(deployments[before].reason == "by hand" && deployments[before].manifest.version == 1)
    #expect(deployments.count > before + 1)
    let versions = try await bench.history.releases(of: Bench.model).map(\.manifest.version)
    #expect(versions == Array(1...versions.count) && versions.count == deployments.count - 1)
    try await bench.log.close()
  }

  @Test("files that are no chunks of the log have addresses that hold in every working folder")
  func addresses() async throws {
    let bench = try await Bench()
    // The folder as someone in this working folder names it.
    let depth = FileManager.default.currentDirectoryPath.split(separator: "/").count
    let folder = bench.labels.folder + "/store"
    try #require(folder.hasPrefix("/"))
    try await bench.release(filesIn: String(repeating: "../", count: depth) + folder.dropFirst())
    let releases = try await bench.history.releases(of: Bench.model)
    let files = releases.flatMap(\.manifest.files)
    try #require(!files.isEmpty)
    let fetcher = ArtifactFetcher(log: bench.log, names: bench.names)
    for file in files {
      #expect(file.uri.hasPrefix("file:\(folder)/"), "\(file.uri)")
      #expect(try await fetcher.fetch(file).count == Int(file.bytes))
    }
    try await bench.log.close()
  }

  @Test("what is collected is neither the deployed release nor the best, which the next candidate is compared with")
  func collection() async throws {
    let bench = try await Bench()
    for end in [120, 180] {
      try await bench.release()
      try await bench.learn(end - 60..<end)
    }
    let (log, names) = (bench.log, bench.names)
    let releases = try await bench.history.releases(of: Bench.model).map(\.manifest)
    let deployed = try #require(try await bench.history.newest(of: Bench.model)?.manifest.version)
    // They are all as good as one another: the first is the best.
    try #require(deployed > 2 && releases.count == deployed)
    func hasWeights(_ manifest: Manifest) async throws -> Bool {
      var isAlive = false
      try await TopicScan.each(log: log, topic: names.artifacts) { record in
        guard let key = record.key, ArtifactChunk.place(key: key)?.digest == manifest.weights?.sha256 else { return }
        isAlive = record.value != nil
      }
      return isAlive
    }
    #expect(try await hasWeights(releases[1]))
    let report = try await GarbageCollection.run(
      log: log, names: names, keys: TrustedKeys([bench.key.publicKey]),
      store: ContentStore(folder: bench.labels.folder + "/store"), checkpoints: bench.checkpoints, model: Bench.model,
      keep: 0, dryRun: false)
    #expect(report.chunks > 0)
    #expect(try await !hasWeights(releases[1]))
    for kept in [releases[0], try #require(releases.last)] { #expect(try await hasWeights(kept)) }
    // The next candidate finds both.
    try await bench.release()
    let newest = try #require(try await bench.history.releases(of: Bench.model).last)
    #expect(newest.verdict?.evidence.contains { $0.subject == .best } == true)
    #expect(newest.verdict?.evidence.contains { $0.subject == .incumbent } == true)
    try await bench.log.close()
  }

  @Test(
    "a trainer whose checkpoints are lost starts over if it is told to, comes to the same weights, and nothing is released twice"
  )
  func lost() async throws {
    let bench = try await Bench()
    try await bench.release()
    func weights() async throws -> Digest? {
      let announced = try await TrainStage.announced(log: bench.log, names: bench.names, model: Bench.model)
      return try Trainer(restoring: try #require(announced.progress).digest, from: bench.checkpoints).weightsDigest
    }
    let (before, releases) = (try await weights(), try await bench.history.releases(of: Bench.model).count)
    try FileManager.default.removeItem(atPath: bench.checkpoints.folder)
    await #expect(throws: TrainingError.self) { try await bench.learn(0..<0) }
    try await bench.learn(0..<0, mayStartAnew: true)
    #expect(try await weights() == before)
    try await bench.release()
    #expect(try await bench.history.releases(of: Bench.model).count == releases)
    // It goes on where it is from then on.
    try await bench.learn(60..<120, mayStartAnew: true)
    try await bench.release()
    #expect(try await bench.history.releases(of: Bench.model).count > releases)
    try await bench.log.close()
  }

  @Test("the settings of compression are part of what a release was made of, and the gate's reasons of its manifest")
  func compressed() async throws {
    let bench = try await Bench()
    var compression = CompressionPolicy()
    compression.importance = .gradients
    compression.recoverySteps = 1
    compression.quantizationAwareSteps = 1
    try await bench.release(compression)
    let releases = try await bench.history.releases(of: Bench.model)
    #expect(releases.allSatisfy { $0.verdict?.reasons == $0.manifest.reasons })
    let manifests = releases.map(\.manifest)
    #expect(!manifests.isEmpty && compression.digest != Bench.compression.digest)
    #expect(manifests.allSatisfy { $0.lineage.compression == compression.digest })
    #expect(manifests.allSatisfy { $0.template == "retort-1" && $0.precision == "fp32" })
    #expect(try manifests.allSatisfy { try Manifest(json: $0.json) == $0 })
    try await bench.log.close()
  }

  @Test("a changed recipe is refused, or starts over if it is told to; its releases follow those before")
  func changedRecipe() async throws {
    let bench = try await Bench()
    try await bench.release()
    let before = try await bench.history.releases(of: Bench.model)
    let refused = await #expect(throws: TrainingError.self) { try await bench.learn(0..<0, seed: 5) }
    #expect(refused?.code == .checkpointMismatch && refused?.description.contains("retort train --anew") == true)
    try await bench.learn(0..<0, mayStartAnew: true, seed: 5)
    try await bench.release()
    let after = try await bench.history.releases(of: Bench.model)
    let recipes = after.map(\.manifest.lineage.recipe)
    #expect(after.count == 2 * before.count && Set(recipes).count == 2)
    #expect(recipes.prefix(before.count) == before.map(\.manifest.lineage.recipe)[...])
    // Nothing is started over that is of this recipe already.
    try await bench.learn(0..<0, mayStartAnew: true, seed: 5)
    try await bench.release()
    #expect(try await bench.history.releases(of: Bench.model).count == after.count)
    try await bench.log.close()
  }

  @Test("a candidate that diverges is given up, and the stage goes on with the next")
  func diverged() async throws {
    let bench = try await Bench()
    try await bench.release()
    let count = try await bench.history.releases(of: Bench.model).count
    let announced = try await TrainStage.announced(log: bench.log, names: bench.names, model: Bench.model)
    var point = try #require(announced.releasePoint)
    let trainer = try Trainer(restoring: point.digest, from: bench.checkpoints)
    trainer.trunk?.student.parameters.update(repeating: 1e30)
    point.digest = try trainer.checkpoint(to: bench.checkpoints).digest
    point.chain = .sha256("samples of another trainer")
    _ = try await bench.log.append([
      RecordCoding.record(point, topic: bench.names.checkpoints, key: Bench.model)
    ])
    try await bench.release()
    #expect(try await bench.history.releases(of: Bench.model).count == count)
    try await bench.learn(60..<120)
    try await bench.release()
    #expect(try await bench.history.releases(of: Bench.model).count > count)
    try await bench.log.close()
  }

  @Test("where no sample could be learned nothing is released")
  func nothingLearned() async throws {
    let bench = try await Bench()
    try await bench.release()
    let count = try await bench.history.releases(of: Bench.model).count
    try await bench.learn(0..<0, mayStartAnew: true, sequence: 16)
    try await bench.release()
    #expect(try await bench.history.releases(of: Bench.model).count == count)
    try await bench.log.close()
  }

  @Test("a second trainer in one folder is refused, and collecting waits for what is being written")
  func folder() async throws {
    let bench = try await Bench()
    let hold = try #require(try FolderHold(.exclusive, on: bench.checkpoints.folder, name: ".trainer"))
    let refused = await #expect(throws: PipelineError.self) { try await bench.learn(0..<0) }
    #expect(refused?.code == .fenced && refused?.description.contains("found another") == true)
    withExtendedLifetime(hold) {}

    let folder = bench.labels.folder + "/held"
    let first = try FolderHold(.shared, on: folder, name: "x")
    let second = try FolderHold(.shared, on: folder, name: "x")
    #expect(first != nil && second != nil)
    #expect(try FolderHold(.exclusive, on: folder, name: "x") == nil)
    #expect(try FolderHold(.exclusive, on: folder, name: "y") != nil)
    try await bench.log.close()
  }

  @Test("a release point whose checkpoint is gone is passed over for a newer one; the newest is not")
  func gone() async throws {
    let bench = try await Bench()
    var points: [Digest] = []
    try await TopicScan.each(log: bench.log, topic: bench.names.checkpoints) { record in
      let checkpoint = try RecordCoding.value(of: record, as: CheckpointRecord.self)
      if checkpoint.releasePoint != nil { points.append(checkpoint.digest) }
    }
    try #require(points.count > 1)
    func remove(_ digest: Digest) throws {
      try FileManager.default.removeItem(atPath: bench.checkpoints.path(of: digest))
    }
    try remove(points[0])
    try await bench.release()
    #expect(try await bench.history.releases(of: Bench.model).count == points.count - 1)
    try await bench.learn(60..<120)
    try remove(
      try #require(
        try await TrainStage.announced(log: bench.log, names: bench.names, model: Bench.model).releasePoint?.digest))
    await #expect(throws: TrainingError.self) { try await bench.release() }
    try await bench.log.close()
  }

  @Test(
    "a stranger's record in `checkpoints` is nobody's checkpoint; what a killed trainer left goes with the next one")
  func strangers() async throws {
    let bench = try await Bench()
    let leftover = bench.checkpoints.folder + "/.incoming.checkpoint.1-2.partial"
    _ = FileManager.default.createFile(atPath: leftover, contents: Data(repeating: 7, count: 1_000))
    for text in ["no json", "{}", #"{"student":"another","digest":7}"#, #"{"student":"home","position":-3}"#] {
      _ = try await bench.log.append([
        NewRecord(topic: bench.names.checkpoints, key: Array(Bench.model.utf8), value: Array(text.utf8))
      ])
    }
    let before = try await TrainStage.announced(log: bench.log, names: bench.names, model: Bench.model).progress
    try await bench.learn(60..<120)
    let after = try await TrainStage.announced(log: bench.log, names: bench.names, model: Bench.model).progress
    #expect(try #require(after).samplesSeen > #require(before).samplesSeen)
    #expect(!FileManager.default.fileExists(atPath: leftover))
    try await bench.release()
    #expect(try await bench.history.newest(of: Bench.model) != nil)
    try await bench.log.close()
  }

  @Test("what others wrote on the deploy topic hides no deployment, stops no release, and takes no epoch")
  func forged() async throws {
    let bench = try await Bench()
    try await bench.release()
    let real = try #require(try await bench.history.newest(of: Bench.model))
    let stranger = SigningKey.generate()
    for (epoch, key) in [(real.epoch + 6, stranger), (1 << 53, stranger), (real.epoch + 5, nil)] {
      try await bench.deploy(real.manifest, epoch: epoch, key: key, reason: "forged") {
        _ = try await bench.log.append([$0])
      }
    }
    let standing = try await bench.history.standing(of: Bench.model)
    #expect(standing.newest == real)
    #expect(standing.refused?.code == .unknownKey)
    let problems = try await Status.problems(
      log: bench.log, names: bench.names, keys: TrustedKeys([bench.key.publicKey]), model: Bench.model)
    #expect(problems.count == 1 && problems[0].contains("a signature of a trusted key"), "\(problems)")

    try await bench.learn(60..<120)
    try await bench.release()
    let newest = try #require(try await bench.history.newest(of: Bench.model))
    #expect(newest.manifest.version > real.manifest.version)
    #expect(newest.epoch > real.epoch + 6 && newest.epoch < 100)
    #expect(newest.manifest.parent == real.manifestDigest || newest.manifest.version > real.manifest.version + 1)

    // Compaction may have left the forged record alone, and subscribers be further than the topic says.
    let adoption = AdoptionRecord(
      subscriber: "a", model: Bench.model, status: .adopted, epoch: 200, version: 1,
      manifestDigest: real.manifestDigest,
      since: "2026-01-01T00:00:00Z")
    _ = try await bench.log.append([RecordCoding.record(adoption, topic: bench.names.adoptions, key: adoption.key)])
    #expect(try await bench.history.nextEpoch(of: Bench.model) == 201)
    try await bench.log.close()
  }

  @Test("of the history, what is unsigned or was changed after it was signed is passed over; another key's stays")
  func forgedHistory() async throws {
    let bench = try await Bench()
    try await bench.release()
    let releases = try await bench.history.releases(of: Bench.model)
    var changed = try #require(releases.last?.manifest)
    changed.version += 1
    var unsigned = changed
    unsigned.signature = nil
    var far = changed
    far.version = 1 << 53
    let signed = try SigningKey.generate().sign(far)
    let next = try SigningKey.generate().sign(changed)
    func append(_ manifest: Manifest) async throws {
      let record = RecordCoding.record(
        ReleaseRecord(manifest: manifest), topic: bench.names.releases, key: Bench.model)
      _ = try await bench.log.append([record])
    }
    for manifest in [changed, unsigned, signed] { try await append(manifest) }
    let found = try await bench.history.releases(of: Bench.model).map(\.manifest)
    #expect(found == releases.map(\.manifest))
    try await append(next)
    #expect(try await bench.history.releases(of: Bench.model).last?.manifest == next)
    // Nor does a stranger's manifest of the same samples stand for the release that is due.
    try await bench.learn(60..<120)
    let point = try #require(
      try await TrainStage.announced(log: bench.log, names: bench.names, model: Bench.model).releasePoint)
    var early = next
    early.version += 1
    early.lineage.chain = point.chain
    try await append(try SigningKey.generate().sign(early))
    try await bench.release()
    let own = TrustedKeys([bench.key.publicKey])
    let released = try await bench.history.releases(of: Bench.model).map(\.manifest)
    #expect(released.contains { $0.lineage.chain == point.chain && own.problem(with: $0) == nil })
    // Whoever has no key sees all of it.
    let all = try await DeploymentScan(log: bench.log, names: bench.names, keys: nil).releases(of: Bench.model)
    #expect(all.count == released.count)
    try await bench.log.close()
  }

  @Test("a stranger's manifest takes no own release's place, its verdict is none, and what it had rejected is no try")
  func strangersHistory() async throws {
    let bench = try await Bench()
    try await bench.release()
    let before = try await bench.history.releases(of: Bench.model)
    let last = try #require(before.last)
    func append(_ record: ReleaseRecord) async throws {
      _ = try await bench.log.append([
        RecordCoding.record(record, topic: bench.names.releases, key: Bench.model)
      ])
    }
    func verdict(of manifest: Manifest, promoted: Bool) -> ReleaseVerdict {
      ReleaseVerdict(
        model: Bench.model, version: manifest.version, manifestDigest: manifest.digest, promoted: promoted,
        reasons: ["Because."], evidence: [], time: "2099-01-01T00:00:00Z")
    }
    let stranger = SigningKey.generate()
    var same = last.manifest
    same.parameters += 1
    try await append(ReleaseRecord(manifest: try stranger.sign(same)))
    try await append(ReleaseRecord(verdict: verdict(of: last.manifest, promoted: false)))
    let after = try await bench.history.releases(of: Bench.model)
    #expect(after.map(\.manifest) == before.map(\.manifest) && after.map(\.verdict) == before.map(\.verdict))
    #expect(last.verdict?.promoted == true)

    var next = last.manifest
    next.version += 1
    next = try stranger.sign(next)
    try await append(ReleaseRecord(manifest: next))
    try await append(ReleaseRecord(verdict: verdict(of: next, promoted: false)))
    #expect(try await bench.history.releases(of: Bench.model).last?.verdict?.promoted == false)
    try await bench.learn(60..<120)
    try await bench.release()
    let made = try #require(
      try await bench.history.releases(of: Bench.model).first { $0.manifest.version > next.version })
    #expect(made.verdict?.evidence.first { $0.metric == "gate_look" }?.value == 1)
    try await bench.log.close()
  }

  @Test("a point whose checkpoint is lost is passed over for one of a trainer that started over, whatever its number")
  func lostPoint() async throws {
    let bench = try await Bench()
    try await bench.release()
    let before = try await bench.history.releases(of: Bench.model)
    try await bench.learn(60..<120)
    let old = try #require(
      try await TrainStage.announced(log: bench.log, names: bench.names, model: Bench.model).releasePoint)
    try FileManager.default.removeItem(atPath: bench.checkpoints.folder)
    try await bench.learn(0..<0, mayStartAnew: true, seed: 5)
    let new = try #require(
      try await TrainStage.announced(log: bench.log, names: bench.names, model: Bench.model).releasePoint)
    try #require(new.releasePoint ?? 0 <= old.releasePoint ?? 0 && new.digest != old.digest)
    try await bench.release()
    let after = try await bench.history.releases(of: Bench.model)
    #expect(after.prefix(before.count).map(\.manifest) == before.map(\.manifest))
    #expect(after.count > before.count)
    #expect(after.dropFirst(before.count).allSatisfy { $0.manifest.lineage.recipe == new.recipe })
    try await bench.log.close()
  }
}
