import Foundation
import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Synchronization
import Testing
import Topics

/// What the audit and `retort status` say of requests and their outcomes.
@Suite struct AuditTests {
  private typealias Bench = LabelStageTests.Bench

  @Test("requests that retention took before they were labelled are counted, before the first label and between two")
  func removed() async throws {
    let bench = try await Bench()
    func append(_ ids: [String], timestamp: Int64? = nil) async throws {
      _ = try await bench.log.append(
        ids.map { id in
          let text = Bench.answered.replacing(#""good""#, with: #""\#(id)""#)
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
    try await bench.append(Bench.answered, key: "good")
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
    try await other.append(Bench.answered, key: "good")
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

  @Test("the audit finds a request without an outcome and an outcome too many")
  func auditFinds() async throws {
    let bench = try await Bench()
    try await bench.append(Bench.answered, key: "good")
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
    try await bench.append(Bench.answered, key: "good")
    try await bench.label()
    try await bench.append(Bench.answered.replacing(#""good""#, with: #""later""#), key: "later")
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
    try await bench.append(Bench.answered, key: "conversation 7")
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
}
