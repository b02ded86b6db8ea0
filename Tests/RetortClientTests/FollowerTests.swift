import Compression
import Foundation
import Inference
import Logging
import MessageLog
import ModelFiles
import Releases
import RetortClient
import SQLiteLog
import StudentModel
import Testing
import Tokenization
import Topics

/// What a subscriber runs, and what it refuses.
@Suite struct FollowerTests {
  /// A log with one tiny released model, and the means to release more.
  final class Bench {
    let folder: String
    let log: SQLiteLog
    var names = TopicNames()
    let key = SigningKey.generate()
    let functions: FunctionSet
    let weights: [UInt8]
    let tokenizer: Tokenizer

    init() async throws {
      folder = FileManager.default.temporaryDirectory.appendingPathComponent("retort-\(UUID().uuidString)").path
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      log = try SQLiteLog(path: folder + "/log.db")
      try await Self.create(names, in: log)
      functions = try FunctionSet(json: [
        [
          "type": "function",
          "function": [
            "name": "lock", "description": "Locks a door.",
            "parameters": [
              "type": "object", "properties": ["door": ["type": "string", "enum": ["front", "back"]]],
              "required": ["door"], "additionalProperties": false,
            ],
          ],
        ]
      ])
      tokenizer = try Tokenizer.train(
        ["lock the front door", "lock the back door"], vocabularySize: 384, spaceFused: 8,
        structure: CallCodec.structureTokens(for: functions))
      let configuration = DecoderConfiguration(
        vocabularySize: tokenizer.vocabularySize, hiddenSize: 32, layerCount: 1, headCount: 2, keyValueHeadCount: 1,
        feedForwardSize: 32, maximumPositions: 128)
      let student = try Student(configuration: configuration, seed: 3)
      let path = folder + "/student.gguf"
      _ = try StudentFile.write(student, tokenizer: tokenizer, functions: functions, as: .q8, to: path)
      weights = [UInt8](FileManager.default.contents(atPath: path) ?? Data())
    }

    static func create(_ names: TopicNames, in log: SQLiteLog) async throws {
      try await log.create(
        [names.models, names.artifacts, names.adoptions].map {
          TopicConfiguration(name: $0, cleanup: [.compact], maximumMessageBytes: 2_000_000)
        })
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// The probes with the answers that the file really gives.
    func probes() throws -> [Probe] {
      let path = folder + "/probe.gguf"
      _ = FileManager.default.createFile(atPath: path, contents: Data(weights))
      let questions = [[ChatMessage.user("lock the front door")], [.user("back")]]
      let answers = try ReleaseCheck.answer(questions, model: ServingModel(gguf: path))
      return zip(questions, answers).map { Probe(messages: $0, call: $1) }
    }

    func manifest(version: Int, probes: [Probe], weights: [UInt8]? = nil) throws -> Manifest {
      let weights = weights ?? self.weights
      let probeBytes = Probe.write(probes)
      let file = { (role: ManifestFile.Role, format: String, bytes: [UInt8]) in
        ManifestFile(role: role, format: format, bytes: Int64(bytes.count), sha256: .sha256(bytes), uri: "log:0")
      }
      return try key.sign(
        Manifest(
          model: "tiny", version: version,
          files: [file(.weights, "gguf", weights), file(.probes, "jsonl", probeBytes)],
          architecture: Architecture(
            layers: 1, hiddenSize: 32, heads: 2, keyValueHeads: 1, feedForwardSize: 32,
            vocabularySize: tokenizer.vocabularySize, maximumPositions: 128),
          parameters: 1, quantization: "q8_0", tokenizerDigest: tokenizer.digest, template: "retort-1",
          functionsDigest: functions.digest, minimumRuntime: "0.1.0",
          lineage: Lineage(
            base: nil, chain: .sha256([]), fromOffset: 0, toOffset: 1, samples: 1, recipe: .sha256([]), seed: 0,
            numerics: "n", code: "0.1.0", teachers: []),
          evidence: [], licence: "none", created: "2026-01-01T00:00:00Z"))
    }

    func publish(_ bytes: [UInt8]) async throws {
      let records = ChunkPlan.chunks(of: bytes, digest: .sha256(bytes)).map {
        NewRecord(topic: names.artifacts, key: Array($0.key.utf8), value: $0.bytes)
      }
      _ = try await log.append(records)
    }

    func deploy(_ manifest: Manifest, epoch: Int64, key: SigningKey? = nil) async throws {
      let deployment = try (key ?? self.key).sign(
        DeploymentRecord(epoch: epoch, action: .promote, manifest: manifest, reason: "test", time: manifest.created))
      _ = try await log.append([RecordCoding.record(deployment, topic: names.models, key: "tiny")])
    }

    func follower(
      _ name: String = "a", firstRetry: Duration = .seconds(30), over other: (any MessageLog)? = nil,
      agent: String = "retort/0.1.0", model: String = "tiny", firstAnswer: Duration? = nil,
      now: (@Sendable () -> Int64)? = nil
    ) throws -> ReleaseFollower {
      try ReleaseFollower(
        log: other ?? log, names: names, model: model, keys: TrustedKeys([key.publicKey]),
        folder: ModelFolder("\(folder)/\(name)"), subscriber: name, agent: agent,
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, firstRetry: firstRetry,
        firstAnswer: firstAnswer, now: now)
    }

    func adoptions() async throws -> [AdoptionRecord] {
      var found: [AdoptionRecord] = []
      try await TopicScan.each(log: log, topic: names.adoptions) { found.append(try RecordCoding.value(of: $0)) }
      return found
    }
  }

  @Test("a good release is handed over, `current` points at it, and adoptions say so")
  func good() async throws {
    let bench = try await Bench()
    let probes = try bench.probes()
    try await bench.publish(bench.weights)
    try await bench.publish(Probe.write(probes))
    try await bench.deploy(bench.manifest(version: 1, probes: probes), epoch: 1)
    let folder = ModelFolder("\(bench.folder)/a")
    let subscriber = Subscriber(
      follower: try bench.follower(), folder: folder,
      command: "cp \"$RETORT_MODEL_DIR/manifest.json\" \(bench.folder)/ran",
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    let release = try #require(try await subscriber.adoptNext(timeout: .seconds(5))).release
    #expect(release.manifest.version == 1)
    let current = FileManager.default.contents(atPath: "\(bench.folder)/a/current/model.gguf")
    #expect(current.map { [UInt8]($0) } == bench.weights)
    #expect(FileManager.default.fileExists(atPath: "\(bench.folder)/ran"))
    #expect(try await bench.adoptions().map(\.status) == [.adopted])
    // Nothing new: nothing is handed over again.
    #expect(try await subscriber.adoptNext(timeout: .milliseconds(100)) == nil)
  }

  @Test("a wrong key, a wrong probe answer, missing or changed bytes are refused with a reason; the old release stays")
  func refused() async throws {
    let bench = try await Bench()
    let probes = try bench.probes()
    try await bench.publish(bench.weights)
    try await bench.publish(Probe.write(probes))
    try await bench.deploy(bench.manifest(version: 1, probes: probes), epoch: 1)
    let follower = try bench.follower()
    #expect(try await follower.next(timeout: .seconds(5))?.manifest.version == 1)

    // Signed by a stranger: not even considered.
    try await bench.deploy(bench.manifest(version: 2, probes: probes), epoch: 2, key: .generate())
    #expect(try await follower.next(timeout: .milliseconds(200)) == nil)

    // Probes whose answers this file does not give.
    let lies = probes.map { probe in
      Probe(messages: probe.messages, call: probe.call == nil ? Call(name: "lock", arguments: [:]) : nil)
    }
    try await bench.publish(Probe.write(lies))
    try await bench.deploy(bench.manifest(version: 3, probes: lies), epoch: 3)
    #expect(try await follower.next(timeout: .milliseconds(500)) == nil)

    // A file that is not in the log, and one that is no model.
    var changed = bench.weights
    changed[changed.count / 2] ^= 0xFF
    try await bench.deploy(bench.manifest(version: 4, probes: probes, weights: changed), epoch: 4)
    #expect(try await follower.next(timeout: .milliseconds(500)) == nil)
    let text = Array("no model".utf8)
    try await bench.publish(text)
    try await bench.deploy(bench.manifest(version: 5, probes: probes, weights: text), epoch: 5)
    #expect(try await follower.next(timeout: .milliseconds(500)) == nil)

    let codes = try await bench.adoptions().filter { $0.status == .refused }.map { $0.code ?? "" }
    #expect(codes == ["probe_failed", "incomplete", "unloadable"])
    // A good one after all that is taken.
    try await bench.deploy(bench.manifest(version: 6, probes: probes), epoch: 6)
    #expect(try await follower.next(timeout: .seconds(5))?.manifest.version == 6)
  }

  @Test("releases are verified on a thread of their own, not on one of those on which requests wait")
  func ownThread() async throws {
    let bench = try await Bench()
    let follower = try bench.follower()
    #expect(follower.unownedExecutor.asSerialExecutor() is StageThread)
  }

  @Test("a refusal whose characters have several bytes is said as far as its record allows")
  func longRefusal() async throws {
    let bench = try await Bench()
    let lie = Probe(
      messages: [.user("back")],
      call: Call(name: "lock", arguments: ["door": .string(String(repeating: "д", count: 4_000))]))
    try await bench.publish(bench.weights)
    try await bench.publish(Probe.write([lie]))
    try await bench.deploy(bench.manifest(version: 1, probes: [lie]), epoch: 1)
    #expect(try await bench.follower().next(timeout: .milliseconds(500)) == nil)
    let adoptions = try await bench.adoptions()
    #expect(adoptions.map(\.code) == ["probe_failed"] && adoptions.first?.reason?.contains("ддд") == true)
  }

  @Test("a release whose files are not whole is said once, tried again, and handed over when they are")
  func mended() async throws {
    let bench = try await Bench()
    let probes = try bench.probes()
    try await bench.publish(Probe.write(probes))
    try await bench.deploy(bench.manifest(version: 1, probes: probes), epoch: 1)
    let follower = try bench.follower(firstRetry: .milliseconds(1))
    for _ in 0..<4 { #expect(try await follower.next(timeout: .milliseconds(50)) == nil) }
    #expect(await follower.refusal?.contains("no chunk 0") == true)
    #expect(try await bench.adoptions().map(\.code) == ["incomplete"])

    // A copy that is wrong, and then one that is right.
    var wrong = bench.weights
    wrong[wrong.count / 2] ^= 0xFF
    for bytes in [wrong, bench.weights] {
      _ = try await bench.log.append(
        ChunkPlan.chunks(of: bytes, digest: .sha256(bench.weights)).map {
          NewRecord(topic: bench.names.artifacts, key: Array($0.key.utf8), value: $0.bytes)
        })
      let release = try await follower.next(timeout: bytes == wrong ? .milliseconds(200) : .seconds(10))
      #expect(release?.manifest.version == (bytes == wrong ? nil : 1))
    }
    #expect(try await bench.adoptions().map(\.code) == ["incomplete", "bad_digest"])
    #expect(await follower.refusal == nil)
  }

  @Test("an epoch that was passed is not accepted again, not even after a restart")
  func epochs() async throws {
    let bench = try await Bench()
    let probes = try bench.probes()
    try await bench.publish(bench.weights)
    try await bench.publish(Probe.write(probes))
    try await bench.deploy(bench.manifest(version: 2, probes: probes), epoch: 5)
    let first = try bench.follower()
    #expect(try await first.next(timeout: .seconds(5))?.deployment.epoch == 5)
    try await bench.deploy(bench.manifest(version: 1, probes: probes), epoch: 4)
    #expect(try await first.next(timeout: .milliseconds(300)) == nil)
    #expect(try await bench.adoptions().last?.code == "stale_epoch")
    #expect(await first.refusal == nil, "the newest runs")
    await first.close()
    // After a restart the current release is handed over once more, the older one still not.
    let second = try bench.follower()
    #expect(try await second.next(timeout: .seconds(5))?.deployment.epoch == 5)
    #expect(try await second.next(timeout: .milliseconds(300)) == nil)
  }

  @Test("a deployment begun anew under another prefix, and another model, are followed from their first epoch on")
  func begunAnew() async throws {
    let bench = try await Bench()
    let probes = try bench.probes()
    let manifest = try bench.manifest(version: 1, probes: probes)
    func deploy(epoch: Int64) async throws -> ReleaseFollower {
      try await bench.publish(bench.weights)
      try await bench.publish(Probe.write(probes))
      try await bench.deploy(manifest, epoch: epoch)
      return try bench.follower()
    }
    let first = try await deploy(epoch: 37)
    #expect(try await first.next(timeout: .seconds(5))?.deployment.epoch == 37)
    await first.close()
    let (old, state) = (bench.names, "\(bench.folder)/a/state.json")
    let accepted = try Data(contentsOf: URL(fileURLWithPath: state))
    #expect(try await bench.follower().acceptedBefore()?.deployment.epoch == 37)
    #expect(try await bench.follower(model: "other").acceptedBefore() == nil)

    bench.names = TopicNames(prefix: "again.")
    try await Bench.create(bench.names, in: bench.log)
    let second = try await deploy(epoch: 1)
    #expect(try await second.acceptedBefore() == nil, "what was accepted there is another deployment's")
    #expect(try await second.next(timeout: .seconds(5))?.deployment.epoch == 1)
    await second.close()

    // What an older version wrote, without the topic, counts wherever it is read; the refusal says what to do about it.
    var older = try #require(try JSON.parse([UInt8](accepted)).objectValue)
    #expect(older["topic"]?.stringValue == old.models)
    older["topic"] = nil
    try Data(JSON.object(older).bytes).write(to: URL(fileURLWithPath: state))
    let third = try bench.follower()
    #expect(try await third.next(timeout: .milliseconds(300)) == nil)
    #expect(await third.refusal?.contains("delete \(state) and") == true)
    await third.close()
    try FileManager.default.removeItem(atPath: state)
    #expect(try await bench.follower().next(timeout: .seconds(5))?.deployment.epoch == 1)
  }

  @Test("after a restart that finds the newest deployment refused, the one accepted before is there, verified anew")
  func acceptedBefore() async throws {
    let bench = try await Bench()
    let probes = try bench.probes()
    try await bench.publish(bench.weights)
    try await bench.publish(Probe.write(probes))
    try await bench.deploy(bench.manifest(version: 1, probes: probes), epoch: 1)
    let first = try bench.follower()
    #expect(try await first.acceptedBefore() == nil)
    let accepted = try #require(try await first.next(timeout: .seconds(5)))
    await first.close()
    try await bench.deploy(bench.manifest(version: 2, probes: probes), epoch: 2, key: .generate())
    // The deploy topic keeps the newest alone.
    _ = try await bench.log.maintain()
    let second = try bench.follower()
    #expect(try await second.next(timeout: .milliseconds(200)) == nil)
    #expect(await second.refusal != nil)
    let again = try #require(try await second.acceptedBefore())
    #expect(again.deployment == accepted.deployment && again.folder == accepted.folder)
    // Another deployment that counts is taken as ever.
    try await bench.deploy(bench.manifest(version: 3, probes: probes), epoch: 3)
    #expect(try await second.next(timeout: .seconds(5))?.manifest.version == 3)

    let third = try bench.follower()
    let newest = try #require(try await third.acceptedBefore())
    #expect(newest.manifest.version == 3)
    // An older program that is started in the folder runs it no more than one that finds it in the log.
    let older = try bench.follower(agent: "retort/0.0.9")
    await #expect(throws: ReleaseError.self) { try await older.acceptedBefore() }
    try Data("damaged".utf8).write(to: URL(fileURLWithPath: newest.weightsPath), options: .atomic)
    await #expect(throws: ReleaseError.self) { try await third.acceptedBefore() }
  }

  @Test("beside the release in use the two newest others stay, and what is no release")
  func retired() throws {
    let files = FileManager.default
    let folder = files.temporaryDirectory.appendingPathComponent("retort-\(UUID().uuidString)").path
    defer { try? files.removeItem(atPath: folder) }
    for name in ["1-a", "2-b", "9-c", "10-d", "11-e", "notes"] {
      try files.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
    }
    ModelFolder.retire(around: "\(folder)/2-b")
    #expect(try files.contentsOfDirectory(atPath: folder).sorted() == ["10-d", "11-e", "2-b", "notes"])
  }

  @Test("a release of which the log has lost a file is found before it is deployed")
  func collected() async throws {
    let bench = try await Bench()
    let fetcher = ArtifactFetcher(log: bench.log, names: bench.names)
    let manifest = try bench.manifest(version: 1, probes: [])
    try await bench.publish(bench.weights)
    try await fetcher.check(manifest)
    let key = ArtifactChunk(digest: .sha256(bench.weights), index: 0, bytes: []).key
    _ = try await bench.log.append([NewRecord(topic: bench.names.artifacts, key: Array(key.utf8), value: nil)])
    await #expect(throws: ClientError.self) { try await fetcher.check(manifest) }
  }

  @Test(
    "a release of which the store on this machine has lost a file is found, too; of a store elsewhere nothing is said")
  func collectedFromStore() async throws {
    let bench = try await Bench()
    let fetcher = ArtifactFetcher(log: bench.log, names: bench.names)
    func addressed(in store: String) throws -> Manifest {
      var manifest = try bench.manifest(version: 1, probes: [])
      for index in manifest.files.indices {
        let hex = manifest.files[index].sha256.hex
        manifest.files[index].uri = "file:\(store)/\(hex.prefix(2))/\(hex)"
      }
      return manifest
    }
    let manifest = try addressed(in: "\(bench.folder)/store")
    let paths = manifest.files.map { URL(fileURLWithPath: String($0.uri.dropFirst(5))) }
    for path in paths {
      try FileManager.default.createDirectory(at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data("there".utf8).write(to: path)
    }
    try await fetcher.check(manifest)
    try FileManager.default.removeItem(at: paths[0])
    let error = await #expect(throws: ClientError.self) { try await fetcher.check(manifest) }
    #expect(error?.code == .notFound && error?.description.contains(paths[0].path) == true)
    try await fetcher.check(addressed(in: "\(bench.folder)/elsewhere"))
  }

  @Test("a stranger's manifest of a version that nobody counted up to numbers no own release")
  func farVersion() async throws {
    let bench = try await Bench()
    try await bench.log.create([TopicConfiguration(name: bench.names.releases, cleanup: [.compact])])
    let far = try bench.manifest(version: 1 << 52 - 1, probes: [])
    let stranger = try SigningKey.generate().sign(far)
    for manifest in [try bench.manifest(version: 3, probes: []), stranger] {
      _ = try await bench.log.append([
        RecordCoding.record(ReleaseRecord(manifest: manifest), topic: bench.names.releases, key: "tiny")
      ])
    }
    let scan = DeploymentScan(log: bench.log, names: bench.names, keys: TrustedKeys([bench.key.publicKey]))
    #expect(try await scan.releases(of: "tiny").map(\.manifest.version) == [3])
  }

  @Test("chunks are found wherever they lie, whatever the manifest's hint says")
  func hints() async throws {
    let bench = try await Bench()
    let bytes = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    try await bench.publish(bench.weights)
    try await bench.publish(bytes)
    for hint in [0, 1, 3, 1_000_000] {
      let file = ManifestFile(
        role: .card, format: "bin", bytes: Int64(bytes.count), sha256: .sha256(bytes), uri: "log:\(hint)")
      #expect(try await ArtifactFetcher(log: bench.log, names: bench.names).fetch(file) == bytes)
    }
  }
}
