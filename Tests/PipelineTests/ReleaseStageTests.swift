import Compression
import Dispatch
import Foundation
import MessageLog
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

    // What is learned beyond the 512 tokens of the default takes part in the recovery, too.
    try await bench.learn(0..<0, mayStartAnew: true, sequence: 1_024)
    try await bench.release(compression)
    compression.maximumSequence = 1_024
    let longer = try await bench.history.releases(of: Bench.model).dropFirst(releases.count).map(\.manifest)
    #expect(!longer.isEmpty && longer.allSatisfy { $0.lineage.compression == compression.digest })
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

  @Test("a candidate for which there is no gate sample is not promoted, and nothing is said to be measured of it")
  func unmeasured() async throws {
    let bench = try await Bench()
    let samples = TopicPartition(topic: bench.names.samples, partition: 0)
    var gate: Set<Int64> = []
    try await TopicScan.each(log: bench.log, partition: samples, to: nil) { record in
      if try RecordCoding.value(of: record, as: SampleRecord.self).split == .gate { gate.insert(record.offset) }
    }
    _ = try await bench.log.erase([samples: gate])
    try await bench.release()
    let releases = try await bench.history.releases(of: Bench.model)
    #expect(!releases.isEmpty && releases.allSatisfy { $0.verdict?.promoted == false })
    for manifest in releases.map(\.manifest) {
      let metrics = Set(manifest.evidence.map(\.metric))
      #expect(metrics.isDisjoint(with: ["exact_match", "function_accuracy", "argument_f1"]), "\(metrics)")
      #expect(manifest.latency == nil)
    }
    try await bench.log.close()
  }

  @Test(
    "chunks are in the log before the transaction that names them; after a kill in between they are not written again")
  func killedBeforeItIsNamed() async throws {
    struct Killed: Error {}
    let bench = try await Bench()
    await #expect(throws: Killed.self) {
      try await bench.release(over: HookedLog(bench.log, willCommit: { throw Killed() }))
    }
    let left = try await bench.chunks()
    #expect(!left.isEmpty && Set(left).count == left.count)
    #expect(try await bench.history.releases(of: Bench.model).isEmpty)
    // What was written just now may be about to be named.
    #expect(try await bench.collectChunks() == 0)
    try await bench.release()
    let first = try #require(try await bench.history.releases(of: Bench.model).first?.manifest)
    #expect(try await Array(bench.chunks().prefix(left.count)) == left)
    let weights = try #require(first.weights)
    let copies = try await bench.chunks().filter { ArtifactChunk.place(key: $0)?.digest == weights.sha256 }
    #expect(copies.count == ChunkPlan.count(bytes: weights.bytes))
    #expect(weights.uri == "log:0" && copies.allSatisfy(left.contains))
    let fetcher = ArtifactFetcher(log: bench.log, names: bench.names)
    for file in first.files { #expect(try await fetcher.fetch(file).count == Int(file.bytes)) }
    try await bench.log.close()
  }

  @Test("chunks that no release names are collected after a day; those of releases stay")
  func orphans() async throws {
    let bench = try await Bench()
    try await bench.release()
    let named = try await bench.chunks()
    let day: Int64 = 86_400_000
    let now = Int64(Date().timeIntervalSince1970 * 1_000)
    // One that was written anew is as young as that.
    for (text, age) in [("old", 2 * day), ("again", 2 * day), ("again", 0), ("new", 0)] {
      let key = Array("\(Digest.sha256(text).hex)/0".utf8)
      _ = try await bench.log.append([
        NewRecord(topic: bench.names.artifacts, key: key, value: [1], timestamp: now - age)
      ])
    }
    #expect(try await bench.collectChunks() == 1)
    #expect(try await bench.collectChunks() == 0)
    let gone = Array("\(Digest.sha256("old").hex)/0".utf8)
    var last: [[UInt8]: Bool] = [:]
    try await TopicScan.each(log: bench.log, topic: bench.names.artifacts) { record in
      if let key = record.key { last[key] = record.value != nil }
    }
    #expect(last[gone] == false && named.allSatisfy { last[$0] == true } && last.values.count { !$0 } == 1)
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
}

extension ReleaseStageTests.Bench {
  /// The keys of all chunks in the log, in order; tombstones are none.
  fileprivate func chunks() async throws -> [[UInt8]] {
    var keys: [[UInt8]] = []
    try await TopicScan.each(log: log, topic: names.artifacts) { record in
      if let key = record.key, record.value != nil { keys.append(key) }
    }
    return keys
  }

  /// How many chunks are collected where all promoted releases stay.
  fileprivate func collectChunks() async throws -> Int {
    try await GarbageCollection.run(
      log: log, names: names, keys: TrustedKeys([key.publicKey]), store: ContentStore(folder: labels.folder + "/store"),
      checkpoints: nil, model: Self.model, keep: 1_000, dryRun: false
    ).chunks
  }
}
