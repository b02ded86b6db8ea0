import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Testing
import Topics

/// Deletion requests over the embedded log.
@Suite struct ForgettingTests {
  private typealias Bench = LabelPolicyTests.Bench

  @Test("an account of an erasure that names more offsets than there are costs no more than what is there")
  func absurdErasure() async throws {
    let bench = try await LabelStageTests.Bench()
    try await bench.append(LabelStageTests.Bench.answered, key: "good")
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
}
