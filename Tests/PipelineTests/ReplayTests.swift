import Compression
import Dispatch
import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Testing
import Topics
import Training

/// What a replay makes, over the embedded log, with a student of a few weights.
@Suite struct ReplayTests {
  private typealias Bench = ReleaseStageTests.Bench

  @Test("a replay that was made is returned; with other settings of compression the next version is made")
  func otherCompression() async throws {
    let bench = try await Bench()
    let first = try await bench.replay(as: "small")
    #expect(try await bench.replay(as: "small").digest == first.digest)
    let other = await #expect(throws: TrainingError.self) {
      _ = try await bench.replay(as: "small", recipe: Bench.recipe(seed: 5))
    }
    #expect(other?.code == .checkpointMismatch && other?.advice.contains("choose another name") == true)
    var compression = Bench.compression
    compression.quantize = .uniform(.f32)
    let second = try await bench.replay(as: "small", compression)
    #expect((first.version, second.version) == (1, 2))
    #expect(second.lineage.compression == compression.digest && second.lineage.chain == first.lineage.chain)
    #expect(second.weights?.sha256 != first.weights?.sha256)
    for (made, settings) in [(first, Bench.compression), (second, compression)] {
      #expect(try await bench.replay(as: "small", settings).digest == made.digest)
    }
    // What its checkpoints are gone for is said.
    _ = try await GarbageCollection.run(
      log: bench.log, names: bench.names, keys: nil, store: ContentStore(folder: bench.labels.folder + "/store"),
      checkpoints: nil, model: Bench.model, replays: ["small": bench.replayed("small")], keep: 0, dryRun: false)
    compression.activationSamples = 100
    let settings = compression
    let refused = await #expect(throws: PipelineError.self) { _ = try await bench.replay(as: "small", settings) }
    #expect(refused?.code == .checkpoint && refused?.description.contains("choose another name") == true)
    try await bench.log.close()
  }

  @Test("a replay's labels took the calls of its own range, not those of labels behind it")
  func calls() async throws {
    let bench = try await Bench()
    let samples = [5, 7].map { (calls: Int) in
      var sample = SampleRecord(
        id: "asked \(calls) times", messages: [.user("a text that nobody learns")],
        call: Call(name: "lock_door", arguments: ["door": "front", "locked": true]), split: .dev)
      sample.usage = TokenUsage(promptTokens: 0, completionTokens: 0, calls: calls)
      return RecordCoding.record(sample, topic: bench.names.samples, key: sample.id, partition: 0)
    }
    _ = try await bench.log.append(samples)
    let end = try await bench.log.watermarks(of: TopicPartition(topic: bench.names.samples, partition: 0)).high
    let early = try await bench.replay(to: end - 1, as: "early")
    #expect(early.evidence.first { $0.metric == "teacher_calls" }?.value == 5)
    try await bench.log.close()
  }

  @Test("every release can be replayed to its bytes, also one at which samples wait for their round")
  func waitingSamples() async throws {
    let bench = try await Bench(learning: 0)
    let recipe = try Bench.recipe(tokenizerSamples: 34)
    try await bench.learn(0..<120, recipe: recipe)
    try await bench.release()
    let releases = try await bench.history.releases(of: Bench.model).map(\.manifest)
    try #require(releases.count > 2)
    // The first student begins with 34 samples, of which four rounds of eight make the first release.
    for release in [releases[0], releases[1], try #require(releases.last)] {
      let again = try await bench.replay(
        to: release.lineage.toOffset, as: "again-\(release.version)", recipe: recipe)
      #expect(again.lineage.chain == release.lineage.chain)
      #expect(again.weights?.sha256 == release.weights?.sha256, "version \(release.version)")
    }
    try await bench.log.close()
  }

  @Test(
    "a replay one of whose samples is erased while it is made makes no candidate, which no deletion request would name")
  func erasedMeanwhile() async throws {
    let bench = try await Bench()
    let point = try #require(
      try await TrainStage.announced(log: bench.log, names: bench.names, model: Bench.model).progress)
    let id = try #require(try Trainer(restoring: point.digest, from: bench.checkpoints).trainingSamples.last).id
    let refused = await #expect(throws: PipelineError.self) {
      _ = try await bench.replay(as: "late") { event in
        guard case .candidate(_, part: "gate") = event else { return }
        // The stage's thread may wait: the log has threads of its own.
        let done = DispatchSemaphore(value: 0)
        Task {
          _ = try? await bench.forget(id)
          done.signal()
        }
        done.wait()
      }
    }
    #expect(refused?.code == .checkpoint && refused?.description.contains("erased") == true, "\(refused as Any)")
    #expect(try await bench.history.releases(of: "late").isEmpty)
    try await bench.log.close()
  }

  @Test("a deletion request names the releases of every live student, and no replay that was made after it")
  func namedModels() async throws {
    let bench = try await Bench()
    try await bench.learn(0..<0, seed: 5, model: "other")
    let point = try #require(
      try await TrainStage.announced(log: bench.log, names: bench.names, model: Bench.model).progress)
    let id = try #require(try Trainer(restoring: point.digest, from: bench.checkpoints).trainingSamples.last).id
    _ = try await bench.forget(id)
    try await bench.learn(0..<0)
    try await bench.learn(60..<120, seed: 5, model: "other")
    try await bench.release()
    try await bench.release(model: "other")
    _ = try await bench.replay(as: "clean")
    let named = try await bench.forget(id)
    #expect(Set(named.map(\.name)) == [Bench.model, "other"])
    let last = try #require(try await bench.history.releases(of: "other").last?.manifest.version)
    #expect(named.contains { $0.name == "other" && $0.version == last })
    try await bench.log.close()
  }
}

extension ReleaseStageTests.Bench {
  /// Erases a request; the models that are named.
  fileprivate func forget(_ id: String) async throws -> [ForgettingReport.Model] {
    try await Forgetting.forget(
      id: id, log: log, names: names, model: Self.model, cachePath: labels.folder + "/none", now: 0
    ).models
  }
}
