import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Testing
import Topics

/// What a candidate is measured on.
@Suite struct HeldOutTests {
  private static func sample(_ id: String, _ text: String, _ split: Split, _ names: TopicNames) -> NewRecord {
    let record = SampleRecord(
      id: id, messages: [.user(text)], call: Call(name: "lock_door", arguments: ["door": "front", "locked": true]),
      split: split)
    return RecordCoding.record(record, topic: names.samples, key: id, partition: 0)
  }

  @Test("a text that was trained on is no question for the gate, whatever the split says of it now")
  func trained() async throws {
    let bench = try await LabelStageTests.Bench()
    let (log, names) = (bench.log, bench.names)
    _ = try await log.append([
      Self.sample("a", "lock the front door", .train, names), Self.sample("b", "open the front door", .gate, names),
      // The shares were changed: the text comes again, and the sample itself was relabelled.
      Self.sample("c", "Lock the  front door!", .gate, names), Self.sample("d", "lock the front door.", .dev, names),
      Self.sample("e", "lock the back door", .train, names), Self.sample("e", "lock the back door", .gate, names),
      Self.sample("f", "open the back door", .dev, names), Self.sample("g", "open the front door", .train, names),
    ])
    let all = try await HeldOutSamples(log: log, names: names)
    #expect(all.gate.isEmpty && all.dev.map(\.id) == ["f"])
    #expect(all.trained == 4)
    // What comes later than the candidate's last sample it was not trained on.
    let before = try await HeldOutSamples(log: log, names: names, before: 7)
    #expect(before.gate.map(\.id) == ["b"] && before.dev.map(\.id) == ["f"])
    #expect(before.trained == 3)
    try await log.close()
  }

  @Test("a candidate may be measured beyond its last sample; what is said of its labels ends there")
  func beyond() async throws {
    let bench = try await LabelStageTests.Bench()
    let (log, names) = (bench.log, bench.names)
    func sample(_ id: String, _ text: String, _ split: Split, by producer: String, calls: Int) -> NewRecord {
      var sample = SampleRecord(
        id: id, messages: [.user(text)], call: Call(name: "lock_door", arguments: ["door": "front", "locked": true]),
        split: split)
      sample.producer = producer
      sample.usage = TokenUsage(promptTokens: 0, completionTokens: 0, calls: calls)
      return RecordCoding.record(sample, topic: names.samples, key: id, partition: 0)
    }
    _ = try await log.append([
      sample("a", "lock the front door", .train, by: "one", calls: 1),
      sample("b", "open the front door", .gate, by: "one", calls: 2),
      sample("c", "open the back door", .gate, by: "two", calls: 4),
      sample("d", "lock the back door", .dev, by: "two", calls: 8),
      NewRecord(topic: names.samples, partition: 0, key: Array("e".utf8), value: nil),
    ])
    let own = try await HeldOutSamples(log: log, names: names, consumed: 2)
    #expect(own.gate.map(\.id) == ["b", "c"] && own.dev.map(\.id) == ["d"])
    #expect(own.teachers == ["one"] && own.teacherCalls == 3 && own.erased == 0)
    let all = try await HeldOutSamples(log: log, names: names)
    #expect(all.gate.map(\.id) == ["b", "c"])
    #expect(all.teachers == ["one", "two"] && all.teacherCalls == 15 && all.erased == 1)
    try await log.close()
  }

  @Test("what was erased is measured no more, though its tombstone lies behind the candidate's last sample")
  func erased() async throws {
    let bench = try await LabelStageTests.Bench()
    let (log, names) = (bench.log, bench.names)
    _ = try await log.append([
      Self.sample("a", "lock the front door", .gate, names), Self.sample("b", "open the front door", .gate, names),
      Self.sample("c", "open the back door", .train, names),
    ])
    let erasure = Erasure(
      idDigest: .sha256("a"), heldOut: [OffsetRange(partition: 0, from: 0, to: 1)])
    let account = LedgerRecord(erasure: erasure, time: "2026-01-01T00:00:00Z")
    _ = try await log.append([
      NewRecord(topic: names.samples, partition: 0, key: Array("a".utf8), value: nil),
      RecordCoding.record(account, topic: names.ledger, key: account.transaction),
      // Sent again after the erasure, it is a sample like any other.
      Self.sample("a", "lock the front door", .gate, names),
    ])
    #expect(try await HeldOutSamples(log: log, names: names, before: 3).gate.map(\.id) == ["b"])
    #expect(try await HeldOutSamples(log: log, names: names).gate.map(\.id) == ["b", "a"])
    try await log.close()
  }

  @Test("the calls that a label took are counted once, whether its older versions are compacted or not")
  func calls() async throws {
    let bench = try await LabelStageTests.Bench()
    let (log, names) = (bench.log, bench.names)
    func sample(_ id: String, calls: Int?) -> NewRecord {
      var record = SampleRecord(
        id: id, messages: [.user("lock the \(id) door")],
        call: Call(name: "lock_door", arguments: ["door": "front", "locked": true]), split: .train)
      record.usage = calls.map { TokenUsage(promptTokens: 0, completionTokens: 0, calls: $0) }
      return RecordCoding.record(record, topic: names.samples, key: id, partition: 0)
    }
    _ = try await log.append([
      sample("a", calls: 3), sample("b", calls: 2), sample("a", calls: 3),
      // A version of a label that does not say what it took leaves what is known of it.
      sample("b", calls: nil), sample("c", calls: nil),
    ])
    #expect(try await HeldOutSamples(log: log, names: names).teacherCalls == 5)
    _ = try await log.erase([TopicPartition(topic: names.samples, partition: 0): [0]])
    #expect(try await HeldOutSamples(log: log, names: names).teacherCalls == 5)
    try await log.close()
  }

  @Test("ids that are the same to a reader and not in the log are two samples")
  func twoForms() async throws {
    let bench = try await LabelStageTests.Bench()
    let (log, names) = (bench.log, bench.names)
    let (one, two) = ("caf\u{E9}", "cafe\u{301}")
    #expect(one == two)
    _ = try await log.append([
      Self.sample(one, "lock the front door", .gate, names), Self.sample(two, "open the front door", .gate, names),
      NewRecord(topic: names.samples, partition: 0, key: Array(one.utf8), value: nil),
    ])
    let samples = try await HeldOutSamples(log: log, names: names)
    #expect(samples.gate.map { Array($0.id.utf8) } == [Array(two.utf8)])
    try await log.close()
  }
}
