import Foundation
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
  @Test("whatever bytes a producer writes, each record has one outcome and the good ones become samples")
  func hostileBytes() async throws {
    let bench = try await Bench()
    try await bench.append(Bench.answered, key: "good")
    try await bench.append("{not json", key: "malformed")
    try await bench.append([0x7B, 0x22, 0xFF, 0xFE, 0x22, 0x7D], key: "utf8")
    try await bench.append(#"{"id":5,"text":[]}"#, key: "types")
    try await bench.append(#"{"id":"x"}"#, key: "empty")
    try await bench.append(nil, key: "tombstone")
    try await bench.append(Array(Bench.answered.utf8), key: "schema", schema: "requests/9.0")
    let long = String(repeating: "a", count: 10_000_000)
    try await bench.append(#"{"id":"long","text":"\#(long)"}"#, key: "long")
    let deep = String(repeating: "[", count: 5_000) + String(repeating: "]", count: 5_000)
    try await bench.append(#"{"id":"deep","text":"x","metadata":\#(deep)}"#, key: "deep")
    try await bench.append(Bench.answered.replacing(#""good""#, with: #""cut/1""#), key: "reserved")
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

    let lines = [Bench.answered.replacing(#""good""#, with: #""cut/2""#), Bench.answered].map { Array($0.utf8) }
    let report = try await RequestImport.run(lines, name: "own.jsonl", log: bench.log, names: bench.names)
    #expect(report.imported == 1 && report.refused == 1)
    #expect(report.problems.first?.contains("cut/2") == true)
    try await bench.log.close()
  }

  @Test(
    "a request too large for a dead letter leaves its beginning, and one behind it is labelled; a stranger's record hides nothing"
  )
  func giants() async throws {
    let bench = try await Bench()
    let key = String(repeating: "k", count: 15 << 20)
    try await bench.append("{not json", key: key)
    try await bench.append(Bench.answered, key: "good")
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

  @Test("who runs what is the newest word of each subscriber, and none of those that have ended")
  func adoptions() async throws {
    let bench = try await Bench()
    func say(_ subscriber: String, _ version: Int, until: String? = nil) async throws {
      let adoption = AdoptionRecord(
        subscriber: subscriber, model: "assistant", status: .adopted, epoch: Int64(version), version: version,
        manifestDigest: .sha256([]), since: "2026-01-01T00:00:00Z", until: until)
      _ = try await bench.log.append([RecordCoding.record(adoption, topic: bench.names.adoptions, key: adoption.key)])
    }
    func running() async throws -> [String] {
      try await Status.read(log: bench.log, names: bench.names, keys: nil, model: "assistant").adoptions
        .map { "\($0.subscriber) \($0.version)" }
    }
    for subscriber in ["a", "b"] { try await say(subscriber, 1) }
    try await say("a", 2)
    try await say("b", 1, until: "2026-01-02T00:00:00Z")
    #expect(try await running() == ["a 2"])
    try await say("b", 2)
    #expect(try await running() == ["a 2", "b 2"])
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
    try await bench.append(Bench.answered.replacing(#""good""#, with: #""slow""#), key: "slow")
    async let labelled: Void = bench.label(verifier: verifier)
    var ids = asked.makeAsyncIterator()
    let first = await ids.next()
    #expect(first == "slow")
    try await bench.append(Bench.answered, key: "good")
    let second = await ids.next()
    #expect(second == "good")
    answer.finish()
    try await labelled
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds && audit.samples == 2, "\(audit.findings)")
    try await bench.log.close()
  }

  @Test("a transaction takes no more than 16 MB of outcomes")
  func largeOutcomes() async throws {
    let bench = try await Bench()
    let text = String(repeating: "lock the front door ", count: 10_000)
    for portion in 0..<12 {
      _ = try await bench.log.append(
        (0..<10).map { index in
          let request = Bench.answered.replacing("lock the front door", with: text)
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
      try await bench.append(Bench.answered.replacingOccurrences(of: #""good""#, with: #""\#(id)""#), key: id)
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

  @Test("what was labelled is counted on where the stage begins again")
  func countsOn() async throws {
    let bench = try await Bench()
    for id in ["a", "b", "c"] {
      try await bench.append(Bench.answered.replacingOccurrences(of: #""good""#, with: #""\#(id)""#), key: id)
    }
    let commits = Mutex(0)
    let log = HookedLog(
      bench.log,
      willCommit: {
        let isSecond = commits.withLock { count in
          count += 1
          return count == 2
        }
        if isSecond { throw MessageLogError(.fenced, "others have it", advice: "read on", isRetriable: true) }
      })
    let counts = Mutex<[Int]>([])
    try await bench.label(over: log, transactionRecords: 1) { done in counts.withLock { $0.append(done.requests) } }
    #expect(counts.withLock { $0 } == [1, 2, 3])
    #expect(try await Audit.run(log: bench.log, names: bench.names).samples == 3)
    try await bench.log.close()
  }

  @Test("the same request twice costs one label; its id with another text is refused; a new trusted answer relabels")
  func repeatedIDs() async throws {
    let bench = try await Bench()
    try await bench.append(Bench.answered, key: "good")
    try await bench.append(Bench.answered, key: "good")
    try await bench.label()
    try await bench.append(Bench.answered.replacingOccurrences(of: "lock the", with: "please lock the"), key: "good")
    try await bench.append(
      Bench.answered.replacingOccurrences(of: #""door":"front""#, with: #""door":"back""#), key: "good")
    try await bench.label()
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds, "\(audit.findings)")
    #expect((audit.samples, audit.skipped, audit.deadLetters) == (2, 1, 1))
    #expect(try await bench.letters()["good"] == "duplicate_id")
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
