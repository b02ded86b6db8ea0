import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Synchronization
import Testing
import Topics

/// What outlives a session of a stage, and what does not.
@Suite struct SessionTests {
  private typealias Bench = LabelStageTests.Bench

  /// Where those who read topics without a group started, in order.
  private final class Starts: Sendable {
    private let all = Mutex<[(partition: TopicPartition, start: StartPosition)]>([])

    func note(_ starts: [TopicPartition: StartPosition]) {
      all.withLock { $0 += starts.map { (partition: $0.key, start: $0.value) } }
    }

    func of(_ topic: String) -> [StartPosition] {
      all.withLock { $0.filter { $0.partition.topic == topic }.map { $0.start } }
    }
  }

  /// A log that refuses the transaction of this number, as if others had the partition by now.
  private static func log(_ log: any MessageLog, refusing number: Int, _ starts: Starts = Starts()) -> HookedLog {
    let commits = Atomic(0)
    return HookedLog(
      log,
      willCommit: {
        if commits.add(1, ordering: .relaxed).newValue == number {
          throw MessageLogError(.fenced, "others have it", advice: "read on", isRetriable: true)
        }
      },
      willRead: { starts.note($0) })
  }

  private static func append(_ ids: [String], _ bench: Bench) async throws {
    for id in ids { try await bench.append(Bench.answered.replacing(#""good""#, with: #""\#(id)""#), key: id) }
  }

  @Test("labelling that begins again reads of the ledger and the samples what has come since it read them")
  func readsOn() async throws {
    let bench = try await Bench()
    try await Self.append(["a", "b", "c"], bench)
    try await bench.label()
    func end(_ topic: String) async throws -> Int64 {
      try await bench.log.watermarks(of: TopicPartition(topic: topic, partition: 0)).high
    }
    let (ledger, samples) = (try await end(bench.names.ledger), try await end(bench.names.samples))
    try await Self.append(["d", "e"], bench)
    let starts = Starts()
    try await bench.label(over: Self.log(bench.log, refusing: 2, starts), transactionRecords: 1)
    #expect(starts.of(bench.names.ledger) == [.earliest, .offset(ledger)])
    #expect(starts.of(bench.names.samples) == [.earliest, .offset(samples)])
    let audit = try await Audit.run(log: bench.log, names: bench.names, all: true)
    #expect(audit.holds && audit.samples == 5 && audit.skipped == 0, "\(audit.findings)")
    try await bench.log.close()
  }

  @Test(
    "what a refused transaction would have written is not known to the next session: neither samples nor definitions")
  func refused() async throws {
    let bench = try await Bench()
    try await Self.append(["a", "b"], bench)
    try await bench.label(over: Self.log(bench.log, refusing: 1))
    let audit = try await Audit.run(log: bench.log, names: bench.names, all: true)
    #expect(audit.holds && audit.samples == 2 && audit.skipped == 0, "\(audit.findings)")
    var definitions = 0
    try await TopicScan.each(log: bench.log, topic: bench.names.ledger) { record in
      if try RecordCoding.value(of: record, as: LedgerRecord.self).functions != nil { definitions += 1 }
    }
    #expect(definitions == 1)
    // Sent again, they are known.
    try await Self.append(["a", "b"], bench)
    try await bench.label()
    #expect(try await Audit.run(log: bench.log, names: bench.names).skipped == 2)
    try await bench.log.close()
  }

  @Test("feedback that begins again has read the ledger and the samples once")
  func feedback() async throws {
    let bench = try await LabelPolicyTests.Bench()
    try await bench.append(0..<3)
    try await bench.label(selective: false)
    let ids = try await bench.samples().map(\.id)
    let right = Call(name: "lock_door", arguments: ["door": "back door", "locked": true])
    let starts = Starts()
    try await bench.join(
      [FeedbackRecord(requestID: ids[0], score: 0, call: right, producer: "people")],
      hooked: Self.log(bench.log, refusing: 1, starts))
    #expect(starts.of(bench.names.ledger) == [.earliest])
    #expect(starts.of(bench.names.samples).count { $0 == .earliest } == 1)
    let added = try await bench.samples().dropFirst(ids.count)
    #expect(added.map(\.id) == [ids[0]] && added.last?.call == right)
    try await bench.log.close()
  }

  @Test("a topic that ends before what was read of it was made anew, and is read from its beginning")
  func madeAnew() async throws {
    let (old, new) = (try await Bench(), try await Bench())
    for key in ["a", "b"] { try await old.append("{}", key: key) }
    try await new.append("{}", key: "c")
    var keys: [String] = []
    func read(_ bench: Bench, after learned: [TopicPartition: Int64]) async throws -> [TopicPartition: Int64] {
      try await TopicScan.news(
        log: bench.log, topic: bench.names.requests, after: learned, anew: { keys = [] },
        { record in keys.append(String(decoding: record.key ?? [], as: UTF8.self)) })
    }
    var learned = try await read(old, after: [:])
    #expect(keys == ["a", "b"])
    learned = try await read(new, after: learned)
    #expect(keys == ["c"])
    try await new.append("{}", key: "d")
    for _ in 0..<2 { learned = try await read(new, after: learned) }
    #expect(keys == ["c", "d"])
    try await old.log.close()
    try await new.log.close()
  }
}
