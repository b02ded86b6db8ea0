import Foundation
import Logging
import MessageLog
import Pipeline
import Releases
import RetortClient
import SQLiteLog
import Synchronization
import Testing
import Topics
import Training

/// What is released after a trainer that lost its checkpoints or starts over.
@Suite struct RestartedTrainerTests {
  private typealias Bench = ReleaseStageTests.Bench

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

  @Test(
    "a trainer whose folder has checkpoints that the topic names no more, as it was deleted and made anew, says so and starts over"
  )
  func topicMadeAnew() async throws {
    let bench = try await Bench()
    func learn(_ range: Range<Int>) async throws -> [String] {
      let (messages, continuation) = AsyncStream<String>.makeStream()
      try await bench.learn(range, logger: Logger(label: "test") { _ in Listener(continuation: continuation) })
      continuation.finish()
      return await messages.reduce(into: []) { $0.append($1) }
    }
    func progress() async throws -> CheckpointRecord {
      try #require(try await TrainStage.announced(log: bench.log, names: bench.names, model: Bench.model).progress)
    }
    let before = try await progress()
    #expect(try await !learn(0..<0).contains { $0.contains("starting over") })
    let topic = TopicPartition(topic: bench.names.checkpoints, partition: 0)
    let end = try await bench.log.watermarks(of: topic).high
    _ = try await bench.log.erase([topic: Set(0..<end)])
    let said = try await learn(0..<0).filter { $0.contains("starting over") }
    #expect(said.count == 1 && said[0].contains("\(bench.checkpoints.folder) has ") && said[0].contains(topic.topic))
    #expect(try await progress().chain == before.chain)
    #expect(try await !learn(60..<90).contains { $0.contains("starting over") })
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

  @Test(
    "a trainer starts over: its early release points are measured on all samples that the live release was measured on"
  )
  func measured() async throws {
    let bench = try await Bench(learning: 150)
    try await bench.release()
    let before = try await bench.history.releases(of: Bench.model).map(\.manifest)
    let last = try #require(before.last)
    let (few, all) = (try #require(before.first?.latency?.n), try #require(last.latency?.n))
    try #require(few < all)
    try await bench.learn(0..<0, mayStartAnew: true, seed: 5)
    try await bench.release()
    let after = try await bench.history.releases(of: Bench.model).map(\.manifest).dropFirst(before.count)
    let early = try #require(after.first)
    try #require(early.lineage.toOffset < last.lineage.toOffset)
    #expect(after.allSatisfy { $0.latency?.n == all })
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

  @Test("a trainer that may start over goes on from a checkpoint whose recipe lacks a key of today, at its default")
  func olderRecipe() async throws {
    let bench = try await Bench()
    func rounds() async throws -> [Int] {
      var rounds: [Int] = []
      try await TopicScan.each(log: bench.log, topic: bench.names.checkpoints) { record in
        rounds.append(try RecordCoding.value(of: record, as: CheckpointRecord.self).round)
      }
      return rounds
    }
    let announced = try await TrainStage.announced(log: bench.log, names: bench.names, model: Bench.model)
    var progress = try #require(announced.progress)
    try #require(progress.round > 1)
    let key = #"\"base_until\":6000,"#
    progress.digest = try bench.rewrite(progress.digest, key, String(repeating: " ", count: key.utf8.count))
    progress.recipe = .sha256("a recipe without that key")
    _ = try await bench.log.append([
      RecordCoding.record(progress, topic: bench.names.checkpoints, key: progress.key)
    ])
    let before = try await rounds().count
    try await bench.learn(60..<120, mayStartAnew: true)
    let after = try await rounds().dropFirst(before)
    #expect(!after.isEmpty && after.allSatisfy { $0 > progress.round })
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

  @Test("a sample of a major version that is not known ends training, and is not passed over; one of another kind is")
  func unknownVersion() async throws {
    let bench = try await Bench()
    func append(_ schema: String) async throws {
      let sample = SampleRecord(
        id: schema, messages: [.user("lock the door")],
        call: Call(name: "lock_door", arguments: ["door": "front", "locked": true]), split: .train)
      _ = try await bench.log.append([
        NewRecord(
          topic: bench.names.samples, partition: 0, key: Array(schema.utf8), value: sample.json.bytes,
          headers: [Header(RecordHeaders.schema, schema)])
      ])
    }
    func position() async throws -> Int64? {
      try await TrainStage.announced(log: bench.log, names: bench.names, model: Bench.model).progress?.position
    }
    try await append("strangers/1.0")
    try await bench.learn(60..<90)
    try await append("samples/2.0")
    let before = try await position()
    let ended = await #expect(throws: ClientError.self) { try await bench.learn(90..<120) }
    #expect(ended?.code == .unknownSchema && ended?.description.contains("use a build that knows it") == true)
    #expect(try await position() == before)
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

  @Test(
    "a trainer that was away for longer than a tombstone stays forgets what was erased, at one place in the log, and nothing else",
    .timeLimit(.minutes(5)))
  func erasedWhileAway() async throws {
    let bench = try await Bench()
    let (log, names) = (bench.log, bench.names)
    func trainer() async throws -> Trainer {
      let announced = try await TrainStage.announced(log: log, names: names, model: Bench.model)
      return try Trainer(restoring: try #require(announced.progress).digest, from: bench.checkpoints)
    }
    func forget(_ sample: TrainingSample) async throws {
      let report = try await Forgetting.forget(
        id: sample.id, log: log, names: names, model: Bench.model, cachePath: bench.labels.folder + "/none", now: 0)
      #expect(report.samples == 1)
    }
    func records(of id: String? = nil) async throws -> [Record] {
      var found: [Record] = []
      try await TopicScan.each(log: log, topic: names.samples) { record in
        if id.map({ Array($0.utf8) == record.key }) ?? true { found.append(record) }
      }
      return found
    }
    let other = try await trainer()
    let all = other.trainingSamples
    let (gone, back, late) = (all[0], all[1], all[2])
    try await forget(gone)
    try await forget(back)
    let again = SampleRecord(id: back.id, messages: back.messages, call: back.call, split: .train)
    _ = try await log.append([RecordCoding.record(again, topic: names.samples, key: back.id, partition: 0)])
    var topic = try #require(try await log.topics().first { $0.name == names.samples })
    topic.deleteRetentionMilliseconds = 0
    try await log.alter([topic])
    while try await !records(of: gone.id).isEmpty { _ = try await log.maintain() }
    // The tombstone of this one is there still.
    try await forget(late)

    try await bench.learn(0..<0)
    let ids = Set(try await trainer().trainingSamples.map(\.id))
    #expect(ids == Set(all.map(\.id)).subtracting([gone.id, late.id]))
    let erased = try await records().filter(\.isTombstone).compactMap(\.key)
    #expect(erased == [late, gone].map { Array($0.id.utf8) })
    let end = try await records().last?.offset
    let starts = Mutex<[StartPosition]>([])
    let hooked = HookedLog(
      log,
      willRead: { places in
        for (place, start) in places where place.topic == names.samples { starts.withLock { $0.append(start) } }
      })
    try await bench.learn(0..<0, over: hooked)
    #expect(try await records().last?.offset == end)
    let progress = try #require(try await TrainStage.announced(log: log, names: names, model: Bench.model).progress)
    #expect(starts.withLock { $0 } == [.offset(progress.position)], "what came again is not looked for each time")

    // Another trainer that was away comes to the same, by what the log says.
    try await bench.learn(60..<90)
    let live = try await trainer()
    #expect(live.samplesLearned > other.samplesLearned)
    for record in try await records() {
      let input: TrainingInput =
        record.isTombstone
        ? .tombstone(String(decoding: record.key ?? [], as: UTF8.self))
        : TrainingInput(try RecordCoding.value(of: record, as: SampleRecord.self))
      try other.consume(input, offset: record.offset)
    }
    #expect(other.chain == live.chain && other.weightsDigest == live.weightsDigest)
    try await log.close()
  }
}
