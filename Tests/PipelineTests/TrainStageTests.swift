import DemoWorld
import Foundation
import Logging
import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Synchronization
import Testing
import Topics
import Training

/// The train stage over the embedded log, with a student of a few weights.
@Suite struct TrainStageTests {
  /// A log whose `samples` have one full segment of held-out samples, and then rounds of eight, each followed by a new version of a
  /// sample of that segment.
  struct Bench {
    let labels: LabelStageTests.Bench
    let checkpoints: CheckpointStore
    static let rounds = 6
    var log: SQLiteLog { labels.log }
    var names: TopicNames { labels.names }

    init() async throws {
      labels = try await LabelStageTests.Bench()
      checkpoints = CheckpointStore(folder: labels.folder + "/checkpoints")
      let grammar = RequestGrammar(seed: 7)
      var records: [NewRecord] = []
      func add(_ id: String, _ index: Int, _ split: Split) {
        let request = grammar.request(at: index)
        let sample = SampleRecord(id: id, messages: [.user(request.text)], call: request.call, split: split)
        records.append(RecordCoding.record(sample, topic: labels.names.samples, key: id, partition: 0))
      }
      for index in 0..<2_100 { add("gate \(index)", index, .gate) }
      for round in 0..<Self.rounds {
        for index in 0..<8 { add("train \(round) \(index)", 8 * round + index, .train) }
        add("gate \(round)", 3_000 + round, .gate)
      }
      _ = try await labels.log.append(records)
    }

    /// Trains until all is done, or is stopped: after so many rounds, or at the first release point where it is not to end by itself.
    func train(
      _ mode: RunMode = .untilIdle, stopAfter rounds: Int = .max, tokenizerSamples: Int = 8, releaseEvery: Int = 1_000
    ) async throws {
      let recipe = try TrainingRecipe(json: [
        "hidden_size": 32, "layer_count": 1, "head_count": 2, "key_value_head_count": 1, "feed_forward_size": 32,
        "vocabulary_size": 400, "space_fused_pieces": 8, "round_size": 8, "replay_per_sample": 1,
        "base_steps": 0,
        "tokenizer_samples": .number(Double(tokenizerSamples)), "release_every": .number(Double(releaseEvery)),
      ])
      let done = Mutex(0)
      let stage = TrainStage(
        log: log, names: names, model: "home", recipe: recipe, functions: try HomeFunctions.functions(),
        checkpoints: checkpoints, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
      ) { event in
        if case .releasePoint = event, mode == .forever { withUnsafeCurrentTask { $0?.cancel() } }
        guard case .round = event else { return }
        let count = done.withLock { count in
          count += 1
          return count
        }
        if count == rounds { withUnsafeCurrentTask { $0?.cancel() } }
      }
      let training = Task { try await stage.run(mode) }
      do { try await training.value } catch is CancellationError {}
    }

    /// What was announced and is still there, in order.
    func announced() async throws -> [Digest] {
      var found: [Digest] = []
      try await TopicScan.each(log: log, topic: names.checkpoints) { record in
        let digest = try RecordCoding.value(of: record, as: CheckpointRecord.self).digest
        if checkpoints.contains(digest), !found.contains(digest) { found.append(digest) }
      }
      return found
    }

    var files: Set<Digest> {
      let paths = FileManager.default.enumerator(atPath: checkpoints.folder)?.compactMap { $0 as? String } ?? []
      return Set(paths.compactMap { Digest(hex: ($0 as NSString).lastPathComponent) })
    }
  }

  @Test("old checkpoints go with what only they need, segments of samples that were written anew among them")
  func retired() async throws {
    let bench = try await Bench()
    try await bench.train()
    let announced = try await bench.announced()
    // The last two of rounds, and the release point.
    #expect(announced.count == 3)
    let needed = Set(try announced.flatMap { try bench.checkpoints.files(of: $0) })
    #expect(needed.count > announced.count && needed.allSatisfy(bench.checkpoints.contains))
    // Of the first checkpoint of a process what it shares with those before is not known: its segment stays.
    #expect(bench.files.subtracting(needed).count == 1)
    let progress = try #require(
      try await TrainStage.announced(log: bench.log, names: bench.names, model: "home").progress)
    _ = try Trainer(restoring: progress.digest, from: bench.checkpoints)
    try await bench.log.close()
  }

  @Test("how well a student predicts is said of its last rounds: what it could not do at first hides nothing")
  func recent() async throws {
    let bench = try await ReleaseStageTests.Bench(learning: 120)
    let progress = try #require(
      try await TrainStage.announced(log: bench.log, names: bench.names, model: "home").progress)
    let trainer = try Trainer(restoring: progress.digest, from: bench.checkpoints)
    #expect(progress.prequential == trainer.recentPrequential.score)
    #expect(try #require(progress.prequential).n < trainer.prequential.count)
    try await bench.log.close()
  }

  @Test("the checkpoint that training went on from goes like any other")
  func restored() async throws {
    let bench = try await Bench()
    try await bench.train(stopAfter: 3)
    let before = try #require(
      try await TrainStage.announced(log: bench.log, names: bench.names, model: "home").progress)
    #expect(before.round == 3 && bench.checkpoints.contains(before.digest))
    try await bench.train()
    #expect(!bench.checkpoints.contains(before.digest))
    try await bench.log.close()
  }

  @Test(
    "a service begins with the samples of one release where no more come, by one cut in the log",
    .timeLimit(.minutes(2)))
  func begins() async throws {
    let bench = try await Bench()
    try await bench.train(.forever, tokenizerSamples: 8_000, releaseEvery: 8 * Bench.rounds)
    var cuts: [Int64] = []
    let end = try await bench.log.watermarks(of: TopicPartition(topic: bench.names.samples, partition: 0)).high
    try await TopicScan.each(log: bench.log, topic: bench.names.samples) { record in
      guard record.value != nil else { return }
      if try RecordCoding.value(of: record, as: SampleRecord.self).kind == .cut { cuts.append(record.offset) }
    }
    #expect(cuts == [end - 1])
    let progress = try #require(
      try await TrainStage.announced(log: bench.log, names: bench.names, model: "home").progress)
    #expect(progress.round > 0 && progress.position == end)
    try await bench.log.close()
  }

  @Test("a student from scratch that waits for its samples says so", .timeLimit(.minutes(2)))
  func waits() async throws {
    let bench = try await Bench()
    let (messages, continuation) = AsyncStream<String>.makeStream()
    let stage = TrainStage(
      log: bench.log, names: bench.names, model: "home", recipe: TrainingRecipe(),
      functions: try HomeFunctions.functions(), checkpoints: bench.checkpoints,
      logger: Logger(label: "test") { _ in Listener(continuation: continuation) })
    let training = Task { try await stage.run(.forever) }
    let said = await messages.first { $0.contains("tokenizer_samples") }
    #expect(said?.contains("begins with 4000 training samples") == true, "\(said ?? "nothing")")
    #expect(said?.contains("there are \(8 * Bench.rounds);") == true, "\(said ?? "nothing")")
    training.cancel()
    _ = await training.result
    try await bench.log.close()
  }
}

/// Passes on what is logged.
struct Listener: LogHandler {
  let continuation: AsyncStream<String>.Continuation
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.info

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) { continuation.yield(event.message.description) }
}
