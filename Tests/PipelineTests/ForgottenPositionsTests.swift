import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Testing
import Topics

/// Labelling whose positions the brokers have forgotten, as they do where a group has no member for a week.
@Suite struct ForgottenPositionsTests {
  private typealias Bench = LabelStageTests.Bench

  @Test("labelling without a position goes on behind what the ledger accounts for, and what was erased stays so")
  func goesOn() async throws {
    let before = try await Bench()
    for id in ["a", "gone", "b"] {
      try await before.append(Bench.answered.replacing(#""good""#, with: #""\#(id)""#), key: id)
    }
    try await before.append("{not json", key: "dead")
    try await before.label()
    // As where records stay until retention removes them: the account is there, and so is the request.
    let place = [OffsetRange(partition: 0, from: 1, to: 2)]
    let account = LedgerRecord(erasure: Erasure(idDigest: .sha256("gone"), requests: place, samples: place))
    _ = try await before.log.append([
      NewRecord(topic: before.names.samples, partition: 0, key: Array("gone".utf8), value: nil),
      RecordCoding.record(account, topic: before.names.ledger, key: account.transaction),
    ])
    let bench = try await before.withoutPositions()
    try await before.log.close()
    let (log, names) = (bench.log, bench.names)
    let requests = TopicPartition(topic: names.requests, partition: 0)
    #expect(try await log.committedOffsets(group: names.labelGroup).isEmpty)

    // All have their outcomes, for who asks before labelling goes on too.
    let status = try await Status.read(log: log, names: names, keys: nil, model: "home")
    #expect((status.labelled, status.unlabelled) == (4, 0))
    #expect(status.problems.isEmpty, "\(status.problems)")
    let early = try await Audit.run(log: log, names: names)
    #expect(early.holds && early.waiting == 0, "\(early.findings)")
    let report = try await Forgetting.forget(
      id: "a", log: log, names: names, model: "home", cachePath: bench.folder + "/none", now: 0)
    #expect((report.requests, report.waiting) == (1, 0))

    try await bench.label()
    #expect(try await log.committedOffsets(group: names.labelGroup) == [requests: 4])
    #expect(try await Audit.run(log: log, names: names).requests == 4)

    try await bench.append(Bench.answered, key: "good")
    try await bench.label()
    let audit = try await Audit.run(log: log, names: names, all: true)
    #expect(audit.holds && audit.requests == 5 && audit.samples == 4 && audit.deadLetters == 1, "\(audit.findings)")
    var living: Set<String> = []
    try await TopicScan.each(log: log, topic: names.samples) { record in
      let id = String(decoding: record.key ?? [], as: UTF8.self)
      if record.isTombstone { living.remove(id) } else { living.insert(id) }
    }
    #expect(living == ["b", "good"])
    try await log.close()
  }

  @Test("requests that came while the positions were forgotten are labelled, and those before them are not again")
  func newOnes() async throws {
    let before = try await Bench()
    try await before.append(Bench.answered.replacing(#""good""#, with: #""old""#), key: "old")
    try await before.label()
    try await before.append(Bench.answered, key: "good")
    let bench = try await before.withoutPositions()
    try await before.log.close()
    #expect(try await Audit.run(log: bench.log, names: bench.names).waiting == 1)
    try await bench.label()
    let audit = try await Audit.run(log: bench.log, names: bench.names, all: true)
    #expect(audit.holds && audit.samples == 2 && audit.skipped == 0, "\(audit.findings)")
    try await bench.log.close()
  }

  @Test("requests of a topic that was made anew are not taken for those with outcomes, however many have come")
  func madeAnew() async throws {
    let bench = try await Bench()
    let account = LedgerRecord(
      transaction: "0:0-1", ranges: [OffsetRange(partition: 0, from: 0, to: 1)], requests: 1,
      outcomes: [OutcomeCount(outcome: .sampled, count: 1)], skipped: [])
    _ = try await bench.log.append([
      RecordCoding.record(account, topic: bench.names.ledger, key: account.transaction)
    ])
    let later: Int64 = 4_000_000_000_000
    _ = try await bench.log.append(
      ["good", "other"].map { id in
        let text = Bench.answered.replacing(#""good""#, with: #""\#(id)""#)
        return NewRecord(
          topic: bench.names.requests, key: Array(id.utf8), value: Array(text.utf8), timestamp: later)
      })
    let refusal = await #expect(throws: PipelineError.self) { try await bench.label() }
    #expect(refusal?.description.contains("found requests that came after those outcomes") == true)
    let problems = try await Status.problems(log: bench.log, names: bench.names, keys: nil, model: "home")
    #expect(problems.count == 1 && problems[0].contains("found requests that came after"), "\(problems)")
    try await bench.log.close()
  }
}
