import Foundation
import MessageLog
import ModelFiles
import Pipeline
import Releases
import RetortClient
import SQLiteLog
import Synchronization
import Testing
import Topics
import Training

/// What is collected, and who works in a folder alone.
@Suite struct GarbageCollectionTests {
  private typealias Bench = ReleaseStageTests.Bench

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

  @Test("of the live students in one folder each keeps what it goes on from, whichever is collected")
  func turns() async throws {
    let bench = try await Bench()
    try await bench.learn(0..<0, seed: 5, model: "other")
    let own = try await bench.progress(of: Bench.model)
    let other = try await bench.progress(of: "other")
    try #require(own != other)
    for model in [Bench.model, "other", "new"] {
      try await bench.collect(model)
      for digest in [own, other] {
        #expect(try bench.checkpoints.files(of: digest).allSatisfy(bench.checkpoints.contains))
      }
    }
    try await bench.learn(60..<120)
    try await bench.release()
    #expect(try await bench.history.newest(of: Bench.model) != nil)
    try await bench.log.close()
  }

  @Test(
    "a release point of another version of the program is passed over for a newer one, and keeps nobody from collecting"
  )
  func otherVersion() async throws {
    let bench = try await Bench()
    try await bench.release()
    let count = try await bench.history.releases(of: Bench.model).count
    let announced = try await TrainStage.announced(log: bench.log, names: bench.names, model: Bench.model)
    var point = try #require(announced.releasePoint)
    point.digest = try bench.rewrite(point.digest, "retort-fp32-2", "retort-fp32-1")
    point.chain = .sha256("samples of an older trainer")
    point.numerics = "retort-fp32-1"
    _ = try await bench.log.append([
      RecordCoding.record(point, topic: bench.names.checkpoints, key: Bench.model)
    ])
    let ended = await #expect(throws: TrainingError.self) { try await bench.release() }
    #expect(ended?.code == .checkpointMismatch && ended?.advice.contains("retort train --anew") == true)
    try await bench.collect(Bench.model)
    #expect(bench.checkpoints.contains(point.digest))
    try await bench.learn(60..<120)
    try await bench.release()
    #expect(try await bench.history.releases(of: Bench.model).count > count)
    try await bench.collect(Bench.model)
    #expect(!bench.checkpoints.contains(point.digest))
    try await bench.log.close()
  }

  @Test(
    "the checkpoint of a release point that was released goes when training has gone on, by an erasure for instance")
  func released() async throws {
    let bench = try await Bench()
    let point = try await bench.progress(of: Bench.model)
    let trained = try #require(try Trainer(restoring: point, from: bench.checkpoints).trainingSamples.first)
    _ = try await Forgetting.forget(
      id: trained.id, log: bench.log, names: bench.names, model: Bench.model, cachePath: bench.labels.folder + "/none",
      now: 0)
    try await bench.learn(0..<0)
    let progress = try await bench.progress(of: Bench.model)
    try #require(progress != point)
    // It waits to be released.
    try await bench.collect(Bench.model)
    #expect(bench.checkpoints.contains(point))
    try await bench.release()
    let releases = try await bench.history.releases(of: Bench.model).count
    try await bench.collect(Bench.model)
    #expect(!bench.checkpoints.contains(point))
    // Training goes on from what is left, and nothing is released again.
    try await bench.learn(60..<120)
    try await bench.release()
    #expect(try await bench.history.releases(of: Bench.model).count > releases)
    try await bench.log.close()
  }

  @Test("what killed processes left half written goes, and what one that lives makes stays")
  func leftovers() async throws {
    let bench = try await Bench(learning: 0)
    let (store, points) = (bench.labels.folder + "/store", bench.checkpoints.folder)
    let left = [
      "\(store)/ab/.abc.1-2.partial", "\(store)/incoming-home-3/model.gguf", "\(points)/ab/.abc.1-2.partial",
      "\(points)/.incoming.checkpoint.1-2.partial", "\(points)/incoming.checkpoint",
    ]
    let kept = ["\(store)/incoming-home-4/model.gguf", "\(store)/ab/notes", "\(points)/notes"]
    let files = FileManager.default
    for path in left + kept {
      try files.createDirectory(
        atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
      #expect(files.createFile(atPath: path, contents: Data([1, 2, 3])))
    }
    var living = try FolderHold(.exclusive, on: "\(store)/incoming-home-4", name: ".use")
    #expect(living != nil)
    let planned = try await bench.collect(Bench.model, dryRun: true)
    #expect(planned.files == left.count && planned.bytes == 3 * left.count)
    #expect((left + kept).allSatisfy(files.fileExists(atPath:)))
    #expect(try await bench.collect(Bench.model) == planned)
    #expect(!left.contains(where: files.fileExists(atPath:)) && kept.allSatisfy(files.fileExists(atPath:)))
    #expect(!files.fileExists(atPath: "\(store)/incoming-home-3"))
    living = nil
    #expect(try await bench.collect(Bench.model).files == 1)

    // The release stage is such a one.
    let isHeld = Mutex<[Bool]>([])
    try await bench.learn(0..<60)
    try await bench.release { event in
      guard case .candidate(version: _, part: "gate") = event else { return }
      let names = (try? FileManager.default.contentsOfDirectory(atPath: store)) ?? []
      for name in names where name.hasPrefix("incoming-") {
        let hold = try? FolderHold(.exclusive, on: "\(store)/\(name)", name: ".use")
        isHeld.withLock { $0.append(hold == nil) }
      }
    }
    let releases = try await bench.history.releases(of: Bench.model).count
    #expect(releases > 0 && isHeld.withLock { $0 } == Array(repeating: true, count: releases))
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
}

extension ReleaseStageTests.Bench {
  /// The checkpoint that a student goes on from.
  fileprivate func progress(of model: String) async throws -> Digest {
    try #require(try await TrainStage.announced(log: log, names: names, model: model).progress).digest
  }

  @discardableResult
  fileprivate func collect(_ model: String, dryRun: Bool = false) async throws -> GarbageCollection.Report {
    try await GarbageCollection.run(
      log: log, names: names, keys: TrustedKeys([key.publicKey]), store: ContentStore(folder: labels.folder + "/store"),
      checkpoints: checkpoints, model: model, keep: 0, dryRun: dryRun)
  }
}
