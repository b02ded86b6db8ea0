import DemoWorld
import Inference
import Logging
import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Synchronization
import Teacher
import Testing
import Topics
import Training

/// Corrections from production, joined into samples.
@Suite struct FeedbackTests {
  private static let right = Call(name: "lock_door", arguments: ["door": "back door", "locked": true])

  private static func feedback(_ id: String, producer: String? = "people", call: Call? = right) -> FeedbackRecord {
    FeedbackRecord(requestID: id, score: 0, call: call, producer: producer)
  }

  @Test("a trusted correction replaces the label, once; others, unknown requests and broken calls change nothing")
  func corrections() async throws {
    let bench = try await LabelPolicyTests.Bench()
    try await bench.append(0..<6)
    try await bench.label(selective: false)
    let before = try await bench.samples()
    let old = try #require(before.first)
    try await bench.join([
      Self.feedback(old.id), Self.feedback("nobody"), Self.feedback(before[1].id, producer: "retort/home@1"),
      Self.feedback(before[2].id, producer: nil), Self.feedback(before[3].id, call: nil),
      Self.feedback(before[4].id, call: Call(name: "no_such_function", arguments: [:])),
    ])
    let after = try await bench.samples()
    #expect(after.count == before.count + 1)
    let new = try #require(after.last)
    #expect(new.id == old.id && new.call == Self.right && new.producer == "people")
    #expect(new.messages == old.messages && new.split == old.split && new.digest != old.digest)
    #expect(new.source == old.source)
    #expect(old.usage != nil && new.usage == old.usage && new.cost == old.cost)
    // People complain of mistakes: what they correct says nothing of the traffic.
    #expect(old.audited && !new.audited)
    // The same again, and a second run: nothing new.
    try await bench.join([Self.feedback(old.id)])
    try await bench.join([])
    #expect(try await bench.samples().count == after.count)
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds && audit.requests == 6, "\(audit.findings)")
    // Sent again by the client, the request is a duplicate and does not bring the old label back.
    try await bench.append(0..<6)
    try await bench.label(selective: false)
    #expect(try await bench.samples().count == after.count)
    try await bench.log.close()
  }

  @Test("imported corrections replace labels as any producer's; lines that are no feedback are reported by number")
  func imported() async throws {
    let bench = try await LabelPolicyTests.Bench()
    try await bench.append(0..<6)
    try await bench.label(selective: false)
    let before = try await bench.samples()
    let old = try #require(before.first)
    let lines = [
      #"{"request_id":"a","score":2}"#, "", #"{"request_id":"b"}"#, Self.feedback(old.id).json.text, "{",
    ].map { Array($0.utf8) }
    let report = try await FeedbackImport.run(lines, name: "own.jsonl", log: bench.log, names: bench.names)
    #expect(report.imported == 1 && report.refused == 3)
    for (problem, number) in zip(report.problems, [1, 3, 5]) {
      #expect(problem.hasPrefix("own.jsonl, line \(number): "), "\(problem)")
    }
    try await bench.join([])
    let after = try await bench.samples()
    #expect(after.count == before.count + 1)
    #expect(after.last?.id == old.id && after.last?.call == Self.right && after.last?.producer == "people")
    try await bench.log.close()
  }

  @Test(
    "the correction of a skipped request becomes a training sample; of a held-out one nothing, lest the gate be made of complaints"
  )
  func skipped() async throws {
    let bench = try await LabelPolicyTests.Bench()
    bench.policy.dailyBudget = 1
    try await bench.append(0..<200)
    try await bench.label()
    let before = try await bench.samples()
    try await bench.join((0..<200).map { Self.feedback("\($0)") })
    let added = try await bench.samples().dropFirst(before.count)
    let own = Set(before.map(\.id))
    #expect(added.count > 100)
    #expect(added.allSatisfy { $0.split == .train || own.contains($0.id) })
    #expect(added.filter { !own.contains($0.id) }.allSatisfy { !$0.audited && $0.call == Self.right })
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds, "\(audit.findings)")
    try await bench.log.close()
  }

  @Test("the answers that a release gave are no labels, neither with the request nor as feedback")
  func ownAnswers() async throws {
    let bench = try await LabelPolicyTests.Bench()
    var request = RequestRecord(id: "own", text: "lock the back door")
    request.response = RequestResponse(producer: "retort/home@3", call: Call(name: "lock_door", arguments: [:]))
    _ = try await bench.log.append([RecordCoding.record(request, topic: bench.names.requests, key: "own")])
    try await bench.label(selective: false)
    let sample = try #require(try await bench.samples().first)
    #expect(sample.producer == StandInTeacher.model)
    #expect(sample.call == Self.right)
    try await bench.join([
      Self.feedback("own", producer: "retort/home@3", call: Call(name: "lock_door", arguments: ["door": "front door"]))
    ])
    #expect(try await bench.samples().count == 1)
    try await bench.log.close()
  }

  @Test(
    "a trusted score joins the training sample beside the answer that was given, where that is asked for")
  func scores() async throws {
    let bench = try await LabelPolicyTests.Bench()
    let wrong = Call(name: "lock_door", arguments: ["door": "no door", "locked": true])
    let grammar = RequestGrammar(seed: 7)
    for index in 0..<12 {
      var request = RequestRecord(id: "own\(index)", text: grammar.request(at: index).text)
      request.response = RequestResponse(
        producer: "retort/home@3", call: index == 0 ? nil : wrong, message: .user("no"))
      _ = try await bench.log.append([RecordCoding.record(request, topic: bench.names.requests, key: request.id)])
    }
    try await bench.label(selective: false)
    let before = try await bench.samples()
    let all = before.map { Self.feedback($0.id, call: nil) }
    try await bench.join(all)
    #expect(try await bench.samples().count == before.count, "off by default")
    try await bench.join(
      all + [Self.feedback("nobody", call: nil), Self.feedback("own1", producer: "retort/home@3", call: nil)],
      scores: true)
    let judged = try await bench.samples().dropFirst(before.count)
    let expected = before.filter { $0.split == .train && $0.id != "own0" }.map(\.id).sorted()
    #expect(judged.map(\.id) == expected && !expected.isEmpty)
    for sample in judged {
      let old = try #require(before.first { $0.id == sample.id })
      #expect(sample.judged == [JudgedCall(call: wrong, score: 0, producer: "people")])
      #expect(sample.call == old.call && sample.producer == old.producer && sample.digest != old.digest)
      #expect(old.usage != nil && sample.usage == old.usage && sample.cost == old.cost)
      #expect(TrainingSample(sample)?.judged == sample.judged)
    }
    // Said again it changes nothing; a correction keeps what was judged.
    try await bench.join(all, scores: true)
    #expect(try await bench.samples().count == before.count + judged.count)
    let id = try #require(expected.first)
    let front = Call(name: "lock_door", arguments: ["door": "back door", "locked": false])
    try await bench.join([Self.feedback(id, call: front)])
    let corrected = try #require(try await bench.samples().last)
    #expect(corrected.id == id && corrected.call == front && corrected.judged.map(\.call) == [wrong])
    // Feedback may name the answer that it is of; the last word on it counts.
    let other = Call(name: "stop_all", arguments: [:])
    let scores = [0.0, 0.25].map { FeedbackRecord(requestID: id, score: $0, answer: other, producer: "people") }
    try await bench.join(scores, scores: true)
    let twice = try #require(try await bench.samples().last)
    #expect(twice.call == front && twice.judged.map(\.call) == [wrong, other] && twice.judged.last?.score == 0.25)
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds && audit.requests == 12, "\(audit.findings)")
    try await bench.log.close()
  }

  @Test("what is erased while its correction is checked stays erased, and the others are joined")
  func erasedMeanwhile() async throws {
    let bench = try await LabelPolicyTests.Bench()
    try await bench.append(0..<4)
    try await bench.label(selective: false)
    let ids = try await bench.samples().map(\.id)
    let gone = try #require(ids.first)
    let (log, names, path) = (bench.log, bench.names, bench.folder + "/none")
    let verifier = Verifier.inProcess(name: "slow") { _, request in
      if request.id == gone {
        _ = try? await Forgetting.forget(id: gone, log: log, names: names, model: "home", cachePath: path, now: 0)
      }
      return VerifierVerdict(accepted: true)
    }
    try await bench.join([Self.feedback(gone), Self.feedback(ids[1])], verifier: verifier)
    var newest: [String: Record] = [:]
    try await TopicScan.each(log: log, topic: names.samples) {
      newest[String(decoding: $0.key ?? [], as: UTF8.self)] = $0
    }
    #expect(newest[gone]?.isTombstone == true)
    let other = try RecordCoding.value(of: try #require(newest[ids[1]]), as: SampleRecord.self)
    #expect(other.call == Self.right)
    let audit = try await Audit.run(log: log, names: names)
    #expect(audit.holds, "\(audit.findings)")
    try await log.close()
  }

  @Test("what is erased while a large batch is committed stays erased, also where the last part of it is not written")
  func erasedBetweenParts() async throws {
    let bench = try await LabelPolicyTests.Bench()
    let (log, names, functions, path) = (bench.log, bench.names, bench.functions, bench.folder + "/none")
    let old = Call(name: "stop_all", arguments: [:])
    for id in ["a", "b", "c"] {
      // Two of them are what one transaction takes.
      let text = String(repeating: "x", count: 7 << 20)
      let sample = SampleRecord(id: id, messages: [.user(text)], call: old, split: .train)
      _ = try await log.append([RecordCoding.record(sample, topic: names.samples, key: id, partition: 0)])
    }
    _ = try await log.append(
      ["a", "b", "c"].map { RecordCoding.record(Self.feedback($0), topic: names.feedback, key: "one partition") })
    let commits = Atomic(0)
    let hooked = HookedLog(
      log,
      willCommit: {
        guard commits.add(1, ordering: .relaxed).newValue == 1 else {
          throw MessageLogError(.invalid, "the last part", advice: "begin anew", isRetriable: false)
        }
        _ = try await Forgetting.forget(id: "a", log: log, names: names, model: "home", cachePath: path, now: 0)
      })
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let teacher = try Teacher(
      task: TaskDefinition(instructions: "", functions: functions),
      configuration: TeacherConfiguration(endpoint: nil), logger: logger)
    await #expect(throws: MessageLogError.self) {
      try await FeedbackStage(
        log: hooked, names: names, teacher: teacher, functions: functions, trustedProducers: ["people"], logger: logger
      ).run(.untilIdle)
    }
    await teacher.shutdown()
    let count = commits.load(ordering: .relaxed)
    #expect(count == 2)
    var newest: [String: Call?] = [:]
    try await TopicScan.each(log: log, topic: names.samples) { record in
      newest[String(decoding: record.key ?? [], as: UTF8.self)] = .some(
        record.isTombstone ? nil : try RecordCoding.value(of: record, as: SampleRecord.self).call)
    }
    #expect(newest == ["a": nil, "b": Self.right, "c": old])
    try await log.close()
  }

  @Test("what is written of a request while it is being erased is erased as well")
  func writtenMeanwhile() async throws {
    let bench = try await LabelPolicyTests.Bench()
    try await bench.append(0..<2)
    try await bench.label(selective: false)
    let sample = try #require(try await bench.samples().first)
    let (log, names) = (bench.log, bench.names)
    let isFirst = Mutex(true)
    let hooked = HookedLog(
      log,
      willErase: {
        guard
          isFirst.withLock({ isFirst in
            defer { isFirst = false }
            return isFirst
          })
        else { return }
        _ = try await log.append([
          RecordCoding.record(sample, topic: names.samples, key: sample.id, partition: 0),
          RecordCoding.record(Self.feedback(sample.id), topic: names.feedback, key: sample.id),
        ])
      })
    _ = try await Forgetting.forget(
      id: sample.id, log: hooked, names: names, model: "home", cachePath: bench.folder + "/none", now: 0)
    for topic in [names.samples, names.feedback, names.requests] {
      try await TopicScan.each(log: log, topic: topic) { record in
        #expect(record.key != Array(sample.id.utf8) || record.isTombstone, "\(topic) at offset \(record.offset)")
      }
    }
    try await log.close()
  }

  @Test("a request that is labelled while its correction is joined keeps what its label says of it")
  func labelledMeanwhile() async throws {
    let bench = try await LabelStageTests.Bench()
    try await bench.append(
      #"{"id":"r","text":"lock the front door","response":{"producer":"import","call":{"name":"lock_door","arguments":{"door":"front door","locked":true}}}}"#,
      key: "r")
    let isLabelled = Atomic(false)
    let hooked = HookedLog(
      bench.log,
      willReadOffsets: { group in
        guard group == bench.names.labelGroup, !isLabelled.exchange(true, ordering: .relaxed) else { return }
        try await bench.label()
      })
    _ = try await bench.log.append([
      RecordCoding.record(Self.feedback("r"), topic: bench.names.feedback, key: "r")
    ])
    let functions = try HomeFunctions.functions()
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let teacher = try Teacher(
      task: TaskDefinition(instructions: "", functions: functions),
      configuration: TeacherConfiguration(endpoint: nil), logger: logger)
    try await FeedbackStage(
      log: hooked, names: bench.names, teacher: teacher, functions: functions, trustedProducers: ["people"],
      logger: logger
    ).run(.untilIdle)
    await teacher.shutdown()
    var samples: [SampleRecord] = []
    try await TopicScan.each(log: bench.log, topic: bench.names.samples) { record in
      samples.append(try RecordCoding.value(of: record, as: SampleRecord.self))
    }
    #expect(samples.count == 2 && samples.last?.call == Self.right)
    #expect(samples.last?.propensity == 1 && samples.last?.split == samples.first?.split)
    try await bench.log.close()
  }

  @Test("however many batches of feedback come, the samples are read once")
  func readOnce() async throws {
    let bench = try await LabelPolicyTests.Bench()
    try await bench.append(0..<3)
    try await bench.label(selective: false)
    let ids = try await bench.samples().map(\.id)
    let samples = TopicPartition(topic: bench.names.samples, partition: 0)
    let reads = Atomic(0)
    let hooked = HookedLog(
      bench.log,
      willRead: { starts in
        if starts[samples] == .earliest { reads.add(1, ordering: .relaxed) }
      })
    // More than fit into one batch.
    try await bench.join(Array(repeating: Self.feedback(ids[0]), count: 1_200), hooked: hooked)
    let count = reads.load(ordering: .relaxed)
    #expect(count == 1)
    let added = try await bench.samples().dropFirst(ids.count)
    #expect(added.map(\.id) == [ids[0]] && added.last?.call == Self.right)
    try await bench.log.close()
  }

  @Test("what the verifier says of a student's answers is data: joined into training samples once, and asked for once")
  func verdicts() async throws {
    let bench = try await LabelPolicyTests.Bench()
    try await bench.append(0..<20)
    try await bench.label(selective: false)
    let before = try await bench.samples()
    try await bench.deploy(intercept: 0, epoch: 1)
    let model = try ServingModel(gguf: bench.folder + "/student.gguf")
    let teacher = try Teacher(
      task: TaskDefinition(
        instructions: "", functions: bench.functions,
        verifier: .inProcess(name: "even") { call, _ in
          VerifierVerdict(accepted: call.name.utf8.count.isMultiple(of: 2), reason: "its name")
        }), configuration: TeacherConfiguration(endpoint: nil))
    let judging = AnswerJudging(
      log: bench.log, names: bench.names, teacher: teacher, draws: 3, temperature: 1, seed: 5)
    let report = try await judging.run(model, limit: 10)
    #expect(report.samples == 10 && report.answers > 10)
    #expect(report.accepted + report.refused == report.answers && report.accepted > 0 && report.refused > 0)
    try await bench.join([], scores: true)
    let added = try await bench.samples().dropFirst(before.count)
    let newest = Set(before.filter { $0.split == .train }.suffix(10).map(\.id))
    #expect(added.allSatisfy { newest.contains($0.id) && !$0.judged.isEmpty })
    let judged = added.flatMap(\.judged)
    #expect(judged.count == report.answers && judged.allSatisfy { $0.producer == AnswerJudging.producer })
    #expect(judged.allSatisfy { ($0.score == 1) == $0.call.name.utf8.count.isMultiple(of: 2) })
    #expect(try await judging.run(model, limit: 10).answers == 0, "the same draws are known by now")
    await teacher.shutdown()
    try await bench.log.close()
  }
}
