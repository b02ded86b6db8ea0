import Compression
import DemoWorld
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
import Teacher
import Testing
import Tokenization
import Topics

/// The label stage with a labelling policy, over the embedded log and the stand-in teacher.
@Suite struct LabelPolicyTests {
  /// A log, and an untrained student that can be deployed with any calibration: so that it is as sure as a test wants.
  final class Bench {
    let folder: String
    let log: SQLiteLog
    let names = TopicNames()
    let key = SigningKey.generate()
    let functions: FunctionSet
    var policy = LabellingPolicy(auditShare: 0.1, heldOutShare: 0.5, confidence: 0.8, novelty: 1)

    init(requestPartitions: Int = 1) async throws {
      folder = FileManager.default.temporaryDirectory.appendingPathComponent("retort-\(UUID().uuidString)").path
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      // Nothing happens behind a test's back.
      log = try SQLiteLog(path: folder + "/log.db", options: .init(maintenanceInterval: nil))
      try await DeploymentTopics.ensure(log: log, names: names, requestPartitions: requestPartitions)
      functions = try HomeFunctions.functions()
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func append(_ range: Range<Int>, prefix: String = "", partition: Int? = nil) async throws {
      let grammar = RequestGrammar(seed: 7)
      let records = range.map { index in
        RecordCoding.record(
          RequestRecord(id: "\(prefix)\(index)", text: grammar.request(at: index).text), topic: names.requests,
          key: "\(prefix)\(index)", partition: partition)
      }
      _ = try await log.append(records)
    }

    /// Labels all that waits; the teacher's statistics.
    ///
    /// - Parameters:
    ///   - hooked: the log with what happens at it.
    ///   - keys: gives the trusted keys, and is asked again at once where it fails.
    @discardableResult
    func label(
      selective: Bool = true, hooked: HookedLog? = nil, verifier: Verifier? = nil,
      keys: (@Sendable (TrustedKeys) throws -> TrustedKeys)? = nil
    ) async throws -> StandInStatistics {
      let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
      let standIn = StandInTeacher(faults: .none, seed: 1)
      let (functions, log, names, folder, policy) = (functions, log, names, folder, policy)
      let trusted = TrustedKeys([key.publicKey])
      return try await standIn.whileRunning { endpoint in
        var configuration = TeacherConfiguration(endpoint: endpoint + "/v1", model: StandInTeacher.model)
        configuration.cachePath = folder + "/cache.db"
        let teacher = try Teacher(
          task: TaskDefinition(
            instructions: HomeFunctions.instructions, functions: functions, verifier: verifier,
            trustedProducers: ["import"]),
          configuration: configuration, logger: logger)
        try await LabelStage(
          log: hooked ?? log, names: names, teacher: teacher, functions: functions, trustedProducers: ["import"],
          selection: selective
            ? LabelSelection(
              policy: policy, model: "home", store: ContentStore(folder: folder + "/store"),
              nextLook: keys == nil ? .seconds(60) : .zero
            ) { try keys?(trusted) ?? trusted }
            : nil,
          logger: logger, window: 64, transactionRecords: 40
        ).run(.untilIdle)
        await teacher.shutdown()
        return standIn.statistics
      }
    }

    /// Joins all feedback that waits.
    func join(
      _ feedback: [FeedbackRecord], scores: Bool = false, hooked: HookedLog? = nil, verifier: Verifier? = nil
    ) async throws {
      _ = try await log.append(
        feedback.map { RecordCoding.record($0, topic: names.feedback, key: $0.requestID) })
      let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
      let teacher = try Teacher(
        task: TaskDefinition(instructions: "", functions: functions, verifier: verifier),
        configuration: TeacherConfiguration(endpoint: nil), logger: logger)
      try await FeedbackStage(
        log: hooked ?? log, names: names, teacher: teacher, functions: functions,
        trustedProducers: ["people", AnswerJudging.producer], joinsScores: scores, logger: logger
      ).run(.untilIdle)
      await teacher.shutdown()
    }

    /// Deploys the untrained student; a calibration with a large positive intercept is sure of every valid answer.
    /// - Parameter expected: of what share of 100 development samples it is said to have been sure.
    func deploy(intercept: Double, epoch: Int64, expected: Double? = nil) async throws {
      let texts = RequestGrammar(seed: 7).requests(0..<50).map(\.text)
      let tokenizer = try Tokenizer.train(
        texts, vocabularySize: 400, spaceFused: 8, structure: CallCodec.structureTokens(for: functions))
      let student = try Student(
        configuration: DecoderConfiguration(
          vocabularySize: tokenizer.vocabularySize, hiddenSize: 32, layerCount: 1, headCount: 2, keyValueHeadCount: 1,
          feedForwardSize: 32, maximumPositions: 256), seed: 3)
      let path = folder + "/student.gguf"
      _ = try StudentFile.write(student, tokenizer: tokenizer, functions: functions, as: .q8, to: path)
      let bytes = [UInt8](FileManager.default.contents(atPath: path) ?? Data())
      let digest = try ContentStore(folder: folder + "/store").put(bytes)
      let manifest = try key.sign(
        Manifest(
          model: "home", version: Int(epoch),
          files: [
            ManifestFile(role: .weights, format: "gguf", bytes: Int64(bytes.count), sha256: digest, uri: "log:0")
          ],
          architecture: Architecture(
            layers: 1, hiddenSize: 32, heads: 2, keyValueHeads: 1, feedForwardSize: 32,
            vocabularySize: tokenizer.vocabularySize, maximumPositions: 256),
          parameters: 1, quantization: "q8_0", tokenizerDigest: tokenizer.digest, template: "retort-1",
          functionsDigest: functions.digest, minimumRuntime: "0.1.0",
          lineage: Lineage(
            base: nil, chain: .sha256([]), fromOffset: 0, toOffset: 1, samples: 1, recipe: .sha256([]), seed: 0,
            numerics: "n", code: "0.1.0", teachers: []),
          evidence: expected.map { [Evidence(metric: "sure_share", value: $0, n: 100, subject: .candidate)] } ?? [],
          confidenceCalibration: ConfidenceCalibration(slope: 0, intercept: intercept, n: 100), licence: "none",
          created: "2026-01-01T00:00:00Z"))
      let deployment = try key.sign(
        DeploymentRecord(
          epoch: epoch, action: .promote, manifest: manifest, reason: "test",
          time: RFC3339.text(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))))
      _ = try await log.append([RecordCoding.record(deployment, topic: names.models, key: "home")])
    }

    func samples() async throws -> [SampleRecord] {
      var samples: [SampleRecord] = []
      try await TopicScan.each(log: log, topic: names.samples) { record in
        samples.append(try RecordCoding.value(of: record, as: SampleRecord.self))
      }
      return samples
    }
  }

  @Test(
    "without a release everything is labelled; a sure student leaves the uniform share; every request has one outcome")
  func share() async throws {
    let bench = try await Bench()
    try await bench.append(0..<150)
    try await bench.label()
    let first = try await bench.samples()
    #expect(first.allSatisfy { $0.choice?.reason == .noStudent && $0.propensity == 1 && $0.audited })
    try await bench.deploy(intercept: 30, epoch: 1)
    try await bench.append(1_000..<1_600)
    try await bench.label()

    let samples = try await bench.samples().dropFirst(first.count)
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds, "\(audit.findings)")
    #expect(audit.requests == 750)
    // About a tenth of 528 and half of 72; an untrained student's invalid answers have no confidence and are uncertain.
    for sample in samples {
      let choice = try #require(sample.choice)
      let coin = bench.policy.coin(of: sample.id)
      #expect(sample.audited == (coin < bench.policy.uniformShare(of: sample.split ?? .train)))
      switch choice.reason {
      case .audit:
        #expect(sample.audited && sample.propensity == bench.policy.uniformShare(of: sample.split ?? .train))
      case .uncertain: #expect(sample.propensity == 1 && choice.student?.confidence == 0 && sample.split == .train)
      default: Issue.record("\(choice.reason)")
      }
      #expect(choice.student?.version == 1)
    }
    let audited = samples.count { $0.choice?.reason == .audit }
    #expect((40...140).contains(audited), "\(audited)")
    let report = try await LabellingReport.read(log: bench.log, names: bench.names)
    #expect(report.skipped["confident", default: 0] + report.skipped["held_out", default: 0] > 300)
    #expect(report.asked == audit.samples + audit.deadLetters)
    #expect(report.live.map(\.version) == [1])
    #expect(try #require(report.live.first).count == samples.count)
    try await bench.log.close()
  }

  @Test("an unsure student has everything labelled once; the same words again are skipped")
  func unsure() async throws {
    let bench = try await Bench()
    try await bench.deploy(intercept: -30, epoch: 1)
    try await bench.append(0..<80)
    try await bench.label()
    let samples = try await bench.samples()
    #expect(samples.filter { $0.split == .train }.allSatisfy { $0.choice?.reason == .uncertain })
    #expect(samples.filter { $0.split == .train }.contains { !$0.audited })
    // The same texts under other ids.
    try await bench.append(0..<80, prefix: "again-")
    let asked = try await LabellingReport.read(log: bench.log, names: bench.names).asked
    try await bench.label()
    let report = try await LabellingReport.read(log: bench.log, names: bench.names)
    #expect(report.skipped["near_duplicate", default: 0] > 40)
    #expect(report.asked - asked < 25)
    #expect(try await Audit.run(log: bench.log, names: bench.names).holds)
    try await bench.log.close()
  }

  @Test("requests whose partition is lost while the teacher is asked, and comes back, are decided on anew and labelled")
  func lostPartition() async throws {
    let (plain, bench) = (try await Bench(), try await Bench())
    try await plain.append(0..<30)
    try await plain.label()
    try await bench.append(0..<30)
    let hooked = HookedLog(bench.log)
    let hasMoved = Atomic(false)
    try await bench.label(
      hooked: hooked,
      verifier: .inProcess(name: "none") { _, _ in
        // The first answer is there, and nothing is written.
        if !hasMoved.exchange(true, ordering: .relaxed) { hooked.rebalance() }
        return VerifierVerdict(accepted: true)
      })
    let wasMoved = hasMoved.load(ordering: .relaxed)
    #expect(wasMoved)
    let expected = try await plain.samples()
    #expect(expected.count > 20)
    #expect(try await bench.samples().map(\.id) == expected.map(\.id))
    let skipped = try await LabellingReport.read(log: bench.log, names: bench.names).skipped
    #expect(try await LabellingReport.read(log: plain.log, names: plain.names).skipped == skipped)
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds && audit.requests == 30, "\(audit.findings)")
    try await plain.log.close()
    try await bench.log.close()
  }

  @Test(
    "the watch is what the log makes it: label stages that end after a few requests see drift as one that goes on does")
  func driftOverRestarts() async throws {
    let bench = try await Bench()
    bench.policy.confidence = 0
    try await bench.deploy(intercept: 0, epoch: 1, expected: 0.9)
    for portion in 0..<16 {
      try await bench.append(portion * 25..<(portion + 1) * 25)
      try await bench.label()
    }
    let samples = try await bench.samples()
    #expect(samples.first?.drifting == false && samples.last?.drifting == true)
    let found = try #require(samples.first { $0.drifting }.flatMap { Int($0.id) })
    #expect((20..<200).contains(found), "\(found)")
    try await bench.log.close()
  }

  @Test("what has been erased is not looked at again")
  func erasedUnwatched() async throws {
    let bench = try await Bench()
    bench.policy.confidence = 0
    try await bench.deploy(intercept: 0, epoch: 1, expected: 0.9)
    try await bench.append(0..<400)
    try await bench.label()
    let before = try await bench.samples()
    #expect(before.last?.drifting == true)
    // As where records stay until retention removes them: the account is there, and so are they.
    let account = LedgerRecord(
      erasure: Erasure(idDigest: .sha256("all"), requests: [OffsetRange(partition: 0, from: 0, to: 400)]))
    _ = try await bench.log.append([
      RecordCoding.record(account, topic: bench.names.ledger, key: account.transaction)
    ])
    try await bench.append(400..<440)
    try await bench.label()
    let first = try #require(try await bench.samples().dropFirst(before.count).first)
    #expect(!first.drifting)
    try await bench.log.close()
  }

  @Test("a release that could not be loaded for a passing reason is looked at again")
  func loadedLater() async throws {
    let bench = try await Bench()
    try await bench.deploy(intercept: 30, epoch: 1)
    try await bench.append(0..<300)
    let hasFailed = Atomic(false)
    try await bench.label(keys: { trusted in
      if hasFailed.exchange(true, ordering: .relaxed) { return trusted }
      throw PipelineError(.store, "keys", expected: "a file", found: "none", advice: "mount it")
    })
    let samples = try await bench.samples()
    #expect(samples.first?.choice?.reason == .noStudent)
    #expect(samples.last?.choice?.student?.version == 1)
    #expect(samples.count < 250)
    try await bench.log.close()
  }

  @Test(
    "a student less sure of the traffic than it should be: samples say so, and the share is larger until the next release"
  )
  func drifting() async throws {
    let bench = try await Bench()
    // Nothing is uncertain, and new only at the beginning, so that the coin chooses; the student is sure of no request.
    bench.policy.confidence = 0
    try await bench.deploy(intercept: 0, epoch: 1, expected: 0)
    try await bench.append(0..<400)
    try await bench.label()
    let before = try await bench.samples()
    #expect(before.allSatisfy { !$0.drifting })
    #expect(before.filter { $0.split == .train && $0.choice?.reason == .audit }.allSatisfy { $0.propensity == 0.1 })

    try await bench.deploy(intercept: 0, epoch: 2, expected: 0.9)
    try await bench.append(400..<1_000)
    try await bench.label()
    let after = try await bench.samples().dropFirst(before.count)
    let first = try #require(after.first(where: { $0.drifting }))
    let found = try #require(Int(first.id))
    #expect((420..<600).contains(found), "\(found)")
    let later = after.drop { $0.id != first.id }
    #expect(later.allSatisfy { $0.drifting })
    #expect(later.filter { $0.split == .train }.allSatisfy { $0.audited && $0.propensity == 0.25 })

    try await bench.deploy(intercept: 0, epoch: 3, expected: 0.9)
    try await bench.append(1_000..<1_400)
    try await bench.label()
    // This stage has not seen the release before, so that it finds the same again.
    let last = try await bench.samples().dropFirst(before.count + after.count)
    #expect(last.first?.drifting == false && last.last?.drifting == true)
    try await bench.log.close()
  }

  @Test("a day's budget holds over restarts, and what it left out says so")
  func budget() async throws {
    let bench = try await Bench()
    bench.policy.dailyBudget = 50
    try await bench.append(0..<60)
    try await bench.label()
    try await bench.append(60..<400)
    try await bench.label()
    let report = try await LabellingReport.read(log: bench.log, names: bench.names)
    #expect(report.asked == 50)
    #expect(report.skipped["budget", default: 0] + report.skipped["budget_audit", default: 0] > 300)
    #expect(report.skipped["budget_audit", default: 0] > 0)
    let samples = try await bench.samples()
    // The first four fifths by interest, the last by the coin, each with its probability.
    #expect(samples.count { $0.choice?.reason == .noStudent } <= 40)
    #expect(samples.contains { $0.choice?.reason == .audit && $0.propensity == 0.1 })
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds && audit.requests == 400, "\(audit.findings)")
    try await bench.log.close()
  }

  @Test("a day's budget holds over members that join and leave, however unevenly it was spent", .timeLimit(.minutes(2)))
  func sharedOverMembers() async throws {
    let bench = try await Bench(requestPartitions: 4)
    bench.policy.dailyBudget = 60
    func asked() async throws -> Int { try await LabellingReport.read(log: bench.log, names: bench.names).asked }
    // All of it in one partition, by a member that has them all.
    try await bench.append(0..<400, partition: 0)
    try await bench.label()
    #expect(try await asked() == 60)

    // A member that is there before keeps the first two, so that the stage has the other two, in which nothing was asked.
    let other = try await bench.log.groupReader(
      group: bench.names.labelGroup, topics: [bench.names.requests], options: ReaderOptions())
    try await bench.append(1_000..<1_100, partition: 2)
    try await bench.label()
    #expect(try await asked() == 60)

    await other.close()
    try await bench.append(2_000..<2_100, partition: 1)
    try await bench.label()
    #expect(try await asked() == 60)
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds && audit.requests == 600, "\(audit.findings)")
    try await bench.log.close()
  }

  @Test(
    "what is left of a day's budget goes with the partitions: whoever has half of them spends their parts alone",
    .timeLimit(.minutes(2)))
  func leftOver() async throws {
    let bench = try await Bench(requestPartitions: 4)
    bench.policy.dailyBudget = 60
    func asked() async throws -> Int { try await LabellingReport.read(log: bench.log, names: bench.names).asked }
    try await bench.append(0..<20, partition: 0)
    try await bench.label()
    let first = try await asked()
    #expect((10...20).contains(first), "\(first)")
    // What was asked is taken from the four in turn, beginning with the first: the last two have this much left.
    let left = 30 - (first + 1) / 4 - first / 4
    let other = try await bench.log.groupReader(
      group: bench.names.labelGroup, topics: [bench.names.requests], options: ReaderOptions())
    try await bench.append(1_000..<1_400, partition: 2)
    try await bench.label()
    #expect(try await asked() == first + left)
    await other.close()
    // And all of it is spent.
    try await bench.append(2_000..<2_400, partition: 3)
    try await bench.label()
    #expect(try await asked() == 60)
    try await bench.log.close()
  }

  @Test("a deletion request that is broken off has emptied the cache, of which the next one could not know")
  func forgetBrokenOff() async throws {
    let bench = try await Bench()
    try await bench.append(0..<2)
    try await bench.label(selective: false)
    func cached(_ id: String, _ log: any MessageLog) async throws -> Int {
      try await Forgetting.forget(
        id: id, log: log, names: bench.names, model: "home", cachePath: bench.folder + "/cache.db", now: 0
      ).cached
    }
    #expect(try await cached("0", bench.log) > 0)
    let hooked = HookedLog(
      bench.log, willErase: { throw MessageLogError(.unavailable, "the log is away", advice: "try again") })
    await #expect(throws: MessageLogError.self) { _ = try await cached("1", hooked) }
    #expect(try await cached("1", bench.log) == 0)
    try await bench.log.close()
  }

  @Test("checkpoints are named where one has come past a train sample of the request, and nowhere else")
  func forgetBesideCheckpoints() async throws {
    let bench = try await Bench()
    try await bench.append(0..<100)
    try await bench.label(selective: false)
    let samples = try await bench.samples()
    let trained = try #require(samples.first { $0.split == .train }?.id)
    let heldOut = try #require(samples.first { $0.split != .train }?.id)
    func isNamed(_ id: String) async throws -> Bool {
      try await Forgetting.forget(
        id: id, log: bench.log, names: bench.names, model: "home", cachePath: bench.folder + "/none", now: 0
      ).isInCheckpoints
    }
    #expect(try await !isNamed(trained))
    let end = try await bench.log.watermarks(of: TopicPartition(topic: bench.names.samples, partition: 0)).high
    let checkpoint = CheckpointRecord(
      student: "home", digest: .sha256("checkpoint"), uri: "file:none", chain: .sha256("chain"), position: end,
      samplesSeen: samples.count, round: 1, numerics: "n")
    _ = try await bench.log.append([
      RecordCoding.record(checkpoint, topic: bench.names.checkpoints, key: checkpoint.key)
    ])
    // What was erased before is in it too.
    #expect(try await isNamed(trained))
    #expect(try await !isNamed(heldOut))
    #expect(try await !isNamed("nobody"))
    try await bench.log.close()
  }

  @Test("a trusted answer costs nothing, so no policy leaves it out; without a policy nothing is said of choices")
  func free() async throws {
    let bench = try await Bench()
    bench.policy.dailyBudget = 1
    let request = RequestGrammar(seed: 7).request(at: 3)
    for id in ["a", "b", "c"] {
      var record = RequestRecord(id: id, text: request.text)
      record.response = RequestResponse(producer: "import", call: request.call)
      _ = try await bench.log.append([RecordCoding.record(record, topic: bench.names.requests, key: id)])
    }
    #expect(try await bench.label().requests == 0)
    #expect(try await bench.samples().map(\.choice?.reason) == [.recorded, .recorded, .recorded])
    #expect(try await LabellingReport.read(log: bench.log, names: bench.names).asked == 0)
    try await bench.append(10..<12)
    try await bench.label(selective: false)
    let samples = try await bench.samples().suffix(2)
    #expect(samples.allSatisfy { $0.choice == nil && $0.audited && $0.propensity == 1 })
    #expect(try await LabellingReport.read(log: bench.log, names: bench.names).asked == 2)
    try await bench.log.close()
  }

  @Test("a release that nobody trusts is not asked: the one before is, or everything is labelled")
  func untrusted() async throws {
    let bench = try await Bench()
    try await bench.deploy(intercept: 30, epoch: 1)
    let other = try SigningKey.generate().sign(
      DeploymentRecord(
        epoch: 2, action: .promote,
        manifest: try #require(
          try await DeploymentScan(log: bench.log, names: bench.names, keys: nil).newest(of: "home")
        ).manifest,
        reason: "forged", time: "2026-01-01T00:00:00Z"))
    _ = try await bench.log.append([RecordCoding.record(other, topic: bench.names.models, key: "home")])
    try await bench.append(0..<30)
    try await bench.label()
    let samples = try await bench.samples()
    #expect(samples.count < 30 && samples.allSatisfy { $0.choice?.student?.version == 1 })
    try await bench.log.close()

    let alone = try await Bench()
    _ = try await alone.log.append([RecordCoding.record(other, topic: alone.names.models, key: "home")])
    try await alone.append(0..<30)
    try await alone.label()
    #expect(try await alone.samples().allSatisfy { $0.choice?.reason == .noStudent })
    try await alone.log.close()
  }

  @Test(
    "requests are near-duplicates if all has the same words in the same order; new if they have words that no labelled one has"
  )
  func words() {
    var seen = SeenRequests()
    seen.learn([.user("Please, turn the light on!")])
    #expect(seen.hasSeen([.user("please turn THE light on")]))
    #expect(!seen.hasSeen([.user("turn on the light please")]))
    #expect(!seen.hasSeen([.system("The speaker stands in the hall."), .user("Please turn the light on")]))
    let asked = ChatMessage(role: .assistant, content: "Which one?")
    #expect(!seen.hasSeen([asked, .user("Please turn the light on")]))
    // Nobody says the same in two answers to other questions.
    seen.learn([.user("the lamp"), asked, .user("yes please")])
    let other = ChatMessage(role: .assistant, content: "The red one?")
    #expect(!seen.hasSeen([.user("the lamp"), other, .user("yes please")]))
    #expect(seen.novelty(of: [.user("turn the heating on")]) == 0.25)
    #expect(seen.novelty(of: [.user("")]) == 0)
    #expect(seen.novelty(of: [.user("abc def")]) == 1)
  }

  @Test("what was asked about and got no label was not seen")
  func unanswered() {
    var seen = SeenRequests()
    let request = [ChatMessage.user("open the window")]
    seen.ask(request)
    #expect(seen.hasSeen(request) && seen.novelty(of: request) == 0)
    seen.ask(request)
    seen.settle(request, isLabelled: false)
    #expect(seen.hasSeen(request))
    seen.settle(request, isLabelled: false)
    #expect(!seen.hasSeen(request) && seen.novelty(of: request) == 1)
    seen.ask(request)
    seen.settle(request, isLabelled: true)
    #expect(seen.hasSeen(request) && seen.novelty(of: request) == 0)
  }

  @Test(
    "the parts of a day's budget that fall to partitions add up to it, whoever has them", arguments: [1, 2, 5, 12, 200])
  func sharedBudget(partitions: Int) {
    let policy = LabellingPolicy(heldOutShare: 0.1, dailyBudget: 100)
    func asked(_ owned: [Int], coin: Double, from spent: Int = 0) -> Int {
      var asked = spent
      for _ in 0..<500 {
        let facts = LabellingPolicy.Facts(
          split: .train, coin: coin, confidence: 0.1, novelty: 0, isRepeated: false,
          spent: .init(asked: asked, owned: owned, partitions: partitions))
        if case .ask = policy.decision(on: facts) { asked += 1 }
      }
      return asked
    }
    let owners = Dictionary(grouping: 0..<partitions) { $0 * $0 % 3 }.values.map { $0.sorted() }
    // Of interest to the last fifth, which the coin has.
    #expect(owners.reduce(0) { $0 + asked($1, coin: 1) } == 80)
    #expect(owners.reduce(0) { $0 + asked($1, coin: 0) } == 100)
    #expect((0..<partitions).reduce(0) { $0 + asked([$1], coin: 0) } == 100)
    #expect(asked(Array(0..<partitions), coin: 0, from: 90) == 100)
  }
}
