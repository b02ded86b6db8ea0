import DemoWorld
import Foundation
import Logging
import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Synchronization
import Teacher
import Testing
import Topics

/// The label stage over the embedded log.
@Suite struct LabelStageTests {
  /// A log in a folder of its own, with every topic.
  final class Bench: Sendable {
    let folder: String
    let log: SQLiteLog
    let names = TopicNames()

    /// - Parameter samplePartitions: as somebody else has made the topic.
    init(samplePartitions: Int = 1, requestPartitions: Int = 1) async throws {
      folder = FileManager.default.temporaryDirectory.appendingPathComponent("retort-\(UUID().uuidString)").path
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      // Nothing happens behind a test's back.
      log = try SQLiteLog(path: folder + "/log.db", options: .init(maintenanceInterval: nil))
      if samplePartitions > 1 {
        try await log.create([TopicConfiguration(name: names.samples, partitions: samplePartitions)])
      }
      try await DeploymentTopics.ensure(log: log, names: names, requestPartitions: requestPartitions)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func append(_ value: [UInt8]?, key: String, schema: String? = nil) async throws {
      let headers = schema.map { [Header("schema", $0)] } ?? []
      _ = try await log.append([NewRecord(topic: names.requests, key: Array(key.utf8), value: value, headers: headers)])
    }

    func append(_ text: String, key: String) async throws { try await append(Array(text.utf8), key: key) }

    /// Labels all that waits, or a range, by the answers that stand in the requests.
    func label(range: RequestRange? = nil, as relabelling: String? = nil, verifier: Verifier? = nil) async throws {
      let functions = try HomeFunctions.functions()
      let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
      let teacher = try Teacher(
        task: TaskDefinition(instructions: "", functions: functions, verifier: verifier),
        configuration: TeacherConfiguration(endpoint: nil),
        logger: logger)
      let names = relabelling.map { self.names.relabelled(as: $0) } ?? self.names
      if relabelling != nil { try await DeploymentTopics.ensure(log: log, names: names, requestPartitions: 1) }
      try await LabelStage(
        log: log, names: names, teacher: teacher, functions: functions, trustedProducers: ["import"], range: range,
        logger: logger
      ).run(.untilIdle)
      await teacher.shutdown()
    }

    /// The label stage as the only one of a process; whether it ended by itself.
    func run(_ mode: RunMode) async throws -> Bool {
      let functions = try HomeFunctions.functions()
      let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
      let teacher = try Teacher(
        task: TaskDefinition(instructions: "", functions: functions),
        configuration: TeacherConfiguration(endpoint: nil), logger: logger)
      let stage = LabelStage(
        log: log, names: names, teacher: teacher, functions: functions, trustedProducers: ["import"], logger: logger)
      do {
        let isWhole = try await StageServices(label: stage).run(mode, logger: logger)
        await teacher.shutdown()
        return isWhole
      } catch {
        await teacher.shutdown()
        throw error
      }
    }

    func letters() async throws -> [String: String] {
      let entries = try await DeadLetters.list(log: log, names: names)
      return Dictionary(
        entries.map { (String(decoding: $0.letter.key ?? [], as: UTF8.self), $0.letter.code) }, uniquingKeysWith: { $1 }
      )
    }
  }

  private static let answered =
    #"{"id":"good","text":"lock the front door","response":{"producer":"import","call":{"name":"lock_door","arguments":{"door":"front","locked":true}}}}"#

  @Test("whatever bytes a producer writes, each record has one outcome and the good ones become samples")
  func hostileBytes() async throws {
    let bench = try await Bench()
    try await bench.append(Self.answered, key: "good")
    try await bench.append("{not json", key: "malformed")
    try await bench.append([0x7B, 0x22, 0xFF, 0xFE, 0x22, 0x7D], key: "utf8")
    try await bench.append(#"{"id":5,"text":[]}"#, key: "types")
    try await bench.append(#"{"id":"x"}"#, key: "empty")
    try await bench.append(nil, key: "tombstone")
    try await bench.append(Array(Self.answered.utf8), key: "schema", schema: "requests/9.0")
    let long = String(repeating: "a", count: 10_000_000)
    try await bench.append(#"{"id":"long","text":"\#(long)"}"#, key: "long")
    let deep = String(repeating: "[", count: 5_000) + String(repeating: "]", count: 5_000)
    try await bench.append(#"{"id":"deep","text":"x","metadata":\#(deep)}"#, key: "deep")
    try await bench.append(Self.answered.replacing(#""good""#, with: #""cut/1""#), key: "reserved")
    try await bench.label()

    let letters = try await bench.letters()
    for key in ["malformed", "utf8", "types", "empty", "tombstone", "deep", "reserved"] {
      #expect(letters[key] == "invalid_request", "\(key): \(letters[key] ?? "no dead letter")")
    }
    #expect(letters["schema"] == "unknown_schema")
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds, "\(audit.findings)")
    #expect(audit.requests == 10)
    #expect(audit.samples == 1)

    let lines = [Self.answered.replacing(#""good""#, with: #""cut/2""#), Self.answered].map { Array($0.utf8) }
    let report = try await RequestImport.run(lines, name: "own.jsonl", log: bench.log, names: bench.names)
    #expect(report.imported == 1 && report.refused == 1)
    #expect(report.problems.first?.contains("cut/2") == true)
    try await bench.log.close()
  }

  @Test("requests that retention took before they were labelled are counted, before the first label and between two")
  func removed() async throws {
    let bench = try await Bench()
    func append(_ ids: [String], timestamp: Int64? = nil) async throws {
      _ = try await bench.log.append(
        ids.map { id in
          let text = Self.answered.replacing(#""good""#, with: #""\#(id)""#)
          return NewRecord(
            topic: bench.names.requests, key: Array(id.utf8), value: Array(text.utf8), timestamp: timestamp)
        })
    }
    let longAgo: Int64 = 1_600_000_000_000
    func audited() async throws -> (removed: Int, requests: Int, holds: Bool) {
      let audit = try await Audit.run(log: bench.log, names: bench.names)
      return (audit.removed, audit.requests, audit.holds)
    }
    try await append(["a", "b"], timestamp: longAgo)
    try await append(["c"])
    _ = try await bench.log.maintain()
    try await bench.label()
    #expect(try await audited() == (2, 1, true))
    // What was labelled before it went is no loss; what comes and goes between is.
    try await append(["d", "e", "f"], timestamp: longAgo)
    _ = try await bench.log.alter(
      [try #require(try await bench.log.topics().first { $0.name == bench.names.requests })])
    _ = try await bench.log.maintain()
    try await append(["g"])
    try await bench.label()
    let (removed, requests, holds) = try await audited()
    #expect(requests >= 2 && holds && removed == 2 + 3 - (requests - 2))
    try await bench.log.close()
  }

  @Test("a position beyond the end of a topic that was made anew is said, and does not hold")
  func madeAnew() async throws {
    let bench = try await Bench()
    try await bench.append(Self.answered, key: "good")
    try await bench.label()
    let partition = TopicPartition(topic: bench.names.requests, partition: 0)
    let reader = try await bench.log.groupReader(
      group: bench.names.labelGroup, topics: [bench.names.requests], options: ReaderOptions())
    _ = try await reader.next(maximum: 1, timeout: .milliseconds(200))
    try await reader.commit([partition: 7])
    await reader.close()
    let problems = try await Status.problems(log: bench.log, names: bench.names, keys: nil, model: "home")
    #expect(problems.count == 1 && problems[0].contains("before the position 7"), "\(problems)")
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(!audit.holds && audit.findings.contains { $0.contains("was made anew") }, "\(audit.findings)")
    let refused = await #expect(throws: MessageLogError.self) { try await bench.label() }
    #expect(refused?.description.contains("start over under another prefix") == true)
    try await bench.log.close()
    try await laterLedger()
  }

  /// A ledger that accounts for more than the topic has, as where the group's position went with the topic.
  private func laterLedger() async throws {
    let other = try await Bench()
    let account = LedgerRecord(
      transaction: "0:0-9", ranges: [OffsetRange(partition: 0, from: 0, to: 9)], requests: 9,
      outcomes: [OutcomeCount(outcome: .sampled, count: 9)], skipped: [])
    _ = try await other.log.append([
      RecordCoding.record(account, topic: other.names.ledger, key: account.transaction)
    ])
    try await other.append(Self.answered, key: "good")
    let refusal = await #expect(throws: PipelineError.self) { try await other.label() }
    #expect(refusal?.description.contains("found an end at 1") == true)
    let found = try await Status.problems(log: other.log, names: other.names, keys: nil, model: "home")
    #expect(found.count == 1 && found[0].contains("before 9"), "\(found)")
    #expect(try await !Audit.run(log: other.log, names: other.names).holds)
    try await other.log.close()
  }

  @Test("every partition that was made anew is named")
  func allMadeAnew() async throws {
    let bench = try await Bench(requestPartitions: 2)
    let account = LedgerRecord(
      transaction: "0:0-9,1:0-5",
      ranges: [OffsetRange(partition: 0, from: 0, to: 9), OffsetRange(partition: 1, from: 0, to: 5)], requests: 14,
      outcomes: [OutcomeCount(outcome: .sampled, count: 14)], skipped: [])
    _ = try await bench.log.append([
      RecordCoding.record(account, topic: bench.names.ledger, key: account.transaction)
    ])
    let problems = try await Status.problems(log: bench.log, names: bench.names, keys: nil, model: "home")
    #expect(problems.count == 2, "\(problems)")
    try await bench.log.close()
  }

  @Test(
    "a request too large for a dead letter leaves its beginning, and one behind it is labelled; a stranger's record hides nothing"
  )
  func giants() async throws {
    let bench = try await Bench()
    let key = String(repeating: "k", count: 15 << 20)
    try await bench.append("{not json", key: key)
    try await bench.append(Self.answered, key: "good")
    try await bench.label()
    let entry = try #require(try await DeadLetters.list(log: bench.log, names: bench.names).first)
    #expect(entry.letter.isCut)
    #expect(entry.letter.key == Array(key.utf8.prefix(65_536)))
    #expect(entry.letter.value == Array("{not json".utf8))
    #expect(try DeadLetterRecord(json: entry.letter.json) == entry.letter)
    #expect(try await DeadLetters.redrive(log: bench.log, names: bench.names) { _ in true } == 0)

    _ = try await bench.log.append([NewRecord(topic: bench.names.ledger, key: Array("x".utf8), value: Array("{".utf8))])
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds, "\(audit.findings)")
    #expect(audit.findings.count == 1)
    #expect((audit.samples, audit.deadLetters) == (1, 1))
    #expect(try await Status.read(log: bench.log, names: bench.names, keys: nil, model: "assistant").labelled == 2)
    try await bench.log.close()
  }

  @Test("what comes while an answer takes long is asked about beside it", .timeLimit(.minutes(1)))
  func besideASlowOne() async throws {
    let bench = try await Bench()
    let (asked, note) = AsyncStream.makeStream(of: String.self)
    let (answered, answer) = AsyncStream.makeStream(of: Void.self)
    let verifier = Verifier.inProcess(name: "slow") { _, request in
      note.yield(request.id)
      if request.id == "slow" { for await _ in answered {} }
      return VerifierVerdict(accepted: true)
    }
    try await bench.append(Self.answered.replacing(#""good""#, with: #""slow""#), key: "slow")
    async let labelled: Void = bench.label(verifier: verifier)
    var ids = asked.makeAsyncIterator()
    let first = await ids.next()
    #expect(first == "slow")
    try await bench.append(Self.answered, key: "good")
    let second = await ids.next()
    #expect(second == "good")
    answer.finish()
    try await labelled
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds && audit.samples == 2, "\(audit.findings)")
    try await bench.log.close()
  }

  @Test("a relabelling ends where another member of its group has labelled the rest", .timeLimit(.minutes(1)))
  func sharedRange() async throws {
    let bench = try await Bench(requestPartitions: 2)
    _ = try await bench.log.append(
      (0..<6).map { index in
        let text = Self.answered.replacing(#""good""#, with: #""\#(index)""#)
        return NewRecord(topic: bench.names.requests, partition: index % 2, key: nil, value: Array(text.utf8))
      })
    let other = try await bench.log.groupReader(
      group: bench.names.labelGroup, topics: [bench.names.requests], options: ReaderOptions())
    let range = try await RequestRange(from: .earliest, to: .latest, log: bench.log, names: bench.names)
    async let labelled: Void = bench.label(range: range)
    while await other.assignment.count != 1 { _ = try await other.next(maximum: 1, timeout: .milliseconds(20)) }
    let theirs = await other.assignment
    try await other.commit(Dictionary(uniqueKeysWithValues: theirs.map { ($0, 3) }))
    try await labelled
    await other.close()
    let samples = TopicPartition(topic: bench.names.samples, partition: 0)
    #expect(try await bench.log.watermarks(of: samples).high == 3)
    try await bench.log.close()
  }

  @Test("a request that is erased while a relabelling asks about it has no sample there")
  func erasedWhileRelabelled() async throws {
    let bench = try await Bench()
    for id in ["gone", "good"] {
      try await bench.append(Self.answered.replacing(#""good""#, with: #""\#(id)""#), key: id)
    }
    try await bench.label()
    let range = try await RequestRange(from: .earliest, to: .latest, log: bench.log, names: bench.names)
    try await bench.label(
      range: range, as: "other",
      verifier: .inProcess(name: "slow") { _, request in
        if request.id == "gone" {
          _ = try? await Forgetting.forget(
            id: "gone", log: bench.log, names: bench.names, model: "home", cachePath: bench.folder + "/none", now: 0)
        }
        return VerifierVerdict(accepted: true)
      })
    var ids: [String] = []
    try await TopicScan.each(log: bench.log, topic: bench.names.relabelled(as: "other").samples) { record in
      ids.append(String(decoding: record.key ?? [], as: UTF8.self))
    }
    #expect(ids == ["good"])
    try await bench.log.close()
  }

  @Test("a transaction takes no more than 16 MB of outcomes")
  func largeOutcomes() async throws {
    let bench = try await Bench()
    let text = String(repeating: "lock the front door ", count: 10_000)
    for portion in 0..<12 {
      _ = try await bench.log.append(
        (0..<10).map { index in
          let request = Self.answered.replacing("lock the front door", with: text)
            .replacing(#""good""#, with: #""\#(portion)-\#(index)""#)
          return NewRecord(topic: bench.names.requests, key: nil, value: Array(request.utf8))
        })
    }
    try await bench.label()
    var sizes: [Int64: Int] = [:]
    try await TopicScan.each(log: bench.log, topic: bench.names.samples) { record in
      let source = try #require(try RecordCoding.value(of: record, as: SampleRecord.self).source)
      sizes[source.offset] = record.value?.count
    }
    #expect(sizes.count == 120)
    var transactions: [Int] = []
    try await TopicScan.each(log: bench.log, topic: bench.names.ledger) { record in
      let ranges = try RecordCoding.value(of: record, as: LedgerRecord.self).ranges
      transactions.append(ranges.flatMap { $0.from..<$0.to }.reduce(0) { $0 + (sizes[$1] ?? 0) })
    }
    #expect(transactions.count > 1 && transactions.allSatisfy { $0 <= 16 << 20 }, "\(transactions)")
    try await bench.log.close()
  }

  @Test("samples lie in one partition, whatever the topic has")
  func onePartition() async throws {
    let bench = try await Bench(samplePartitions: 3)
    for id in ["a", "b", "c", "d", "e"] {
      try await bench.append(Self.answered.replacingOccurrences(of: #""good""#, with: #""\#(id)""#), key: id)
    }
    try await bench.label()
    var counts: [Int64] = []
    for partition in 0..<3 {
      counts.append(
        try await bench.log.watermarks(of: TopicPartition(topic: bench.names.samples, partition: partition)).high)
    }
    #expect(counts == [5, 0, 0])
    try await bench.log.close()
  }

  @Test("the same request twice costs one label; its id with another text is refused; a new trusted answer relabels")
  func repeatedIDs() async throws {
    let bench = try await Bench()
    try await bench.append(Self.answered, key: "good")
    try await bench.append(Self.answered, key: "good")
    try await bench.label()
    try await bench.append(Self.answered.replacingOccurrences(of: "lock the", with: "please lock the"), key: "good")
    try await bench.append(
      Self.answered.replacingOccurrences(of: #""door":"front""#, with: #""door":"back""#), key: "good")
    try await bench.label()
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds, "\(audit.findings)")
    #expect((audit.samples, audit.skipped, audit.deadLetters) == (2, 1, 1))
    #expect(try await bench.letters()["good"] == "duplicate_id")
    try await bench.log.close()
  }

  @Test("an account of an erasure that names more offsets than there are costs no more than what is there")
  func absurdErasure() async throws {
    let bench = try await Bench()
    try await bench.append(Self.answered, key: "good")
    try await bench.label()
    let all = [OffsetRange(partition: 0, from: 0, to: 1 << 50)]
    let account = LedgerRecord(
      erasure: Erasure(idDigest: .sha256("somebody"), requests: all, samples: all, heldOut: all, deadLetters: all))
    _ = try await bench.log.append([
      RecordCoding.record(account, topic: bench.names.ledger, key: account.transaction)
    ])
    #expect(try await Audit.run(log: bench.log, names: bench.names).holds)
    let range = try await ReplayRange(0..<1, log: bench.log, names: bench.names)
    #expect((range.records, range.erased) == (1, 1))
    let report = try await Forgetting.forget(
      id: "somebody", log: bench.log, names: bench.names, model: "home", cachePath: bench.folder + "/none", now: 0)
    #expect((report.requests, report.samples, report.removed) == (0, 0, 1))
    try await bench.log.close()
  }

  @Test("the audit finds a request without an outcome and an outcome too many")
  func auditFinds() async throws {
    let bench = try await Bench()
    try await bench.append(Self.answered, key: "good")
    try await bench.append(#"{"id":"b","text":"nobody answers"}"#, key: "b")
    try await bench.label()
    #expect(try await Audit.run(log: bench.log, names: bench.names).holds)

    // A second outcome of the first request, as a broken stage would write it.
    let forged = NewRecord(
      topic: bench.names.deadLetters, key: Array("good".utf8), value: Array("{}".utf8),
      headers: [
        Header("source-topic", bench.names.requests), Header("source-partition", "0"), Header("source-offset", "0"),
      ])
    _ = try await bench.log.append([forged])
    let doubled = try await Audit.run(log: bench.log, names: bench.names)
    #expect(!doubled.holds)
    #expect(doubled.duplicates == 1)

    // A position that was committed without any outcome.
    try await bench.append(#"{"id":"c","text":"lost"}"#, key: "c")
    let reader = try await bench.log.groupReader(
      group: bench.names.labelGroup, topics: [bench.names.requests], options: ReaderOptions())
    _ = try await reader.next(maximum: 10, timeout: .seconds(2))
    try await reader.commit([TopicPartition(topic: bench.names.requests, partition: 0): 3])
    await reader.close()
    #expect(try await Audit.run(log: bench.log, names: bench.names).missing == 1)
    try await bench.log.close()
  }

  @Test("an audit beside running labelling holds: what is labelled meanwhile still waits for it")
  func auditBesideLabelling() async throws {
    let bench = try await Bench()
    try await bench.append(Self.answered, key: "good")
    try await bench.label()
    try await bench.append(Self.answered.replacing(#""good""#, with: #""later""#), key: "later")
    let isLabelled = Atomic(false)
    let hooked = HookedLog(
      bench.log,
      willRead: { starts in
        // The ledger has been read.
        guard starts.keys.contains(where: { $0.topic == bench.names.samples }),
          !isLabelled.exchange(true, ordering: .relaxed)
        else { return }
        try await bench.label()
      })
    let audit = try await Audit.run(log: hooked, names: bench.names)
    #expect(audit.holds && audit.waiting == 1, "\(audit.findings)")
    let later = try await Audit.run(log: bench.log, names: bench.names, all: true)
    #expect(later.holds && later.samples == 2 && later.waiting == 0, "\(later.findings)")
    try await bench.log.close()
  }

  @Test("a request under a key that is not its id has its outcome after a correction and compaction, and hides no gap")
  func otherKeys() async throws {
    let bench = try await Bench()
    try await bench.append(Self.answered, key: "conversation 7")
    try await bench.label()
    var sample: SampleRecord?
    try await TopicScan.each(log: bench.log, topic: bench.names.samples) { record in
      sample = try RecordCoding.value(of: record, as: SampleRecord.self)
    }
    // As feedback writes it: the new version comes from there.
    let feedback = Record(
      topic: bench.names.feedback, partition: 0, offset: 0, timestamp: 0, key: Array("good".utf8), value: [])
    _ = try await bench.log.append([
      RecordCoding.record(
        try #require(sample), topic: bench.names.samples, key: "good", partition: 0, derivedFrom: feedback)
    ])
    #expect(try await bench.log.maintain().compactedRecords > 0)
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds, "\(audit.findings)")

    // A request whose sample is nowhere, under a key that is the id of another.
    try await bench.append(#"{"id":"lost","text":"lost"}"#, key: "good")
    let account = LedgerRecord(
      transaction: "0:1-2", ranges: [OffsetRange(partition: 0, from: 1, to: 2)], requests: 1,
      outcomes: [OutcomeCount(outcome: .sampled, count: 1)], skipped: [])
    _ = try await bench.log.append([
      RecordCoding.record(account, topic: bench.names.ledger, key: account.transaction)
    ])
    let reader = try await bench.log.groupReader(
      group: bench.names.labelGroup, topics: [bench.names.requests], options: ReaderOptions())
    _ = try await reader.next(maximum: 10, timeout: .seconds(2))
    try await reader.commit([TopicPartition(topic: bench.names.requests, partition: 0): 2])
    await reader.close()
    #expect(try await Audit.run(log: bench.log, names: bench.names).missing == 1)
    try await bench.log.close()
  }

  @Test("requests of other programs are labelled, and their trace context goes with the sample")
  func interchange() async throws {
    let bench = try await Bench()
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    let answer =
      #""response":{"producer":"import","call":{"name":"lock_door","arguments":{"door":"front","locked":true}}}"#
    let plain = Array(#"{"text":"lock the front door",\#(answer)}"#.utf8)
    let event = [
      Header("ce_specversion", "1.0"), Header("ce_id", "binary"), Header("ce_source", "s"), Header("ce_type", "t"),
      Header("ce_traceparent", trace),
    ]
    let structured = Array(
      (#"{"specversion":"1.0","id":"structured","source":"s","type":"t","traceparent":"\#(trace)","#
        + #""data":{"text":"lock the front door",\#(answer)}}"#).utf8)
    let framed = Array(#"{"id":"framed","text":"lock the front door",\#(answer)}"#.utf8)
    _ = try await bench.log.append([
      NewRecord(topic: bench.names.requests, key: nil, value: plain, headers: event),
      NewRecord(topic: bench.names.requests, key: nil, value: structured),
      NewRecord(
        topic: bench.names.requests, key: nil, value: [0, 0, 0, 0, 9] + framed, headers: [Header("traceparent", trace)]),
    ])
    try await bench.label()
    var samples: [String: String?] = [:]
    try await TopicScan.each(log: bench.log, topic: bench.names.samples) { record in
      samples[String(decoding: record.key ?? [], as: UTF8.self)] = record.headers.text("traceparent")
    }
    #expect(samples == ["binary": trace, "structured": trace, "framed": trace])
    #expect(try await Audit.run(log: bench.log, names: bench.names).holds)
    try await bench.log.close()
  }
}
