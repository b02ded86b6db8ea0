import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Teacher
import Testing
import Topics

/// How many requests of a day the teacher is asked about, over restarts and members.
@Suite struct DailyBudgetTests {
  private typealias Bench = LabelPolicyTests.Bench

  /// When all requests came, whatever time it is: 2026-01-01T12:00:00Z.
  private static let noon: Int64 = 1_767_268_800_000

  @Test("a day's budget holds over restarts, and what it left out says so")
  func budget() async throws {
    let bench = try await Bench()
    bench.policy.dailyBudget = 50
    try await bench.append(0..<60, timestamp: Self.noon)
    try await bench.label()
    try await bench.append(60..<400, timestamp: Self.noon)
    try await bench.label()
    let report = try await LabellingReport.read(log: bench.log, names: bench.names, model: "home")
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

  @Test(
    "what a spent budget left out of the newest release's figure is told, and not what it left out before that release")
  func missed() async throws {
    let bench = try await Bench()
    func skip(_ count: Int, timestamp: Int64) async throws {
      let account = LedgerRecord(
        transaction: "\(count) skipped", ranges: [OffsetRange(partition: 0, from: 0, to: Int64(count))],
        requests: count, outcomes: [OutcomeCount(outcome: .skipped, reason: "budget_audit", count: count)],
        skipped: (0..<count).map { SkippedRequest(partition: 0, offset: Int64($0), reason: "budget_audit") })
      var record = RecordCoding.record(account, topic: bench.names.ledger, key: account.transaction)
      record.timestamp = timestamp
      _ = try await bench.log.append([record])
    }
    func ask(version: Int) async throws {
      var sample = SampleRecord(
        id: "\(version)", messages: [.user("lock the door")], call: Call(name: "lock_door", arguments: [:]),
        split: .train)
      sample.choice = LabelChoice(
        reason: .audit, student: .init(version: version, confidence: 0.5, exact: true))
      sample.propensity = 0.1
      _ = try await bench.log.append([
        RecordCoding.record(sample, topic: bench.names.samples, key: sample.id, partition: 0)
      ])
    }
    try await ask(version: 1)
    try await skip(7, timestamp: 1_000)
    try await ask(version: 2)
    try await skip(3, timestamp: 4_000_000_000_000)
    let report = try await LabellingReport.read(log: bench.log, names: bench.names, model: "home")
    #expect(report.live.map(\.version) == [1, 2] && report.skipped["budget_audit"] == 10)
    #expect(report.missed == 3)
    try await bench.log.close()
  }

  @Test("a day's budget holds over members that join and leave, however unevenly it was spent", .timeLimit(.minutes(2)))
  func sharedOverMembers() async throws {
    let bench = try await Bench(requestPartitions: 4)
    bench.policy.dailyBudget = 60
    func asked() async throws -> Int {
      try await LabellingReport.read(log: bench.log, names: bench.names, model: "home").asked
    }
    // All of it in one partition, by a member that has them all.
    try await bench.append(0..<400, partition: 0, timestamp: Self.noon)
    try await bench.label()
    #expect(try await asked() == 60)

    // A member that is there before keeps the first two, so that the stage has the other two, in which nothing was asked.
    let other = try await bench.log.groupReader(
      group: bench.names.labelGroup, topics: [bench.names.requests], options: ReaderOptions())
    try await bench.append(1_000..<1_100, partition: 2, timestamp: Self.noon)
    try await bench.label()
    #expect(try await asked() == 60)

    await other.close()
    try await bench.append(2_000..<2_100, partition: 1, timestamp: Self.noon)
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
    func asked() async throws -> Int {
      try await LabellingReport.read(log: bench.log, names: bench.names, model: "home").asked
    }
    try await bench.append(0..<20, partition: 0, timestamp: Self.noon)
    try await bench.label()
    let first = try await asked()
    #expect((10...20).contains(first), "\(first)")
    // What was asked is taken from the four in turn, beginning with the first: the last two have this much left.
    let left = 30 - (first + 1) / 4 - first / 4
    let other = try await bench.log.groupReader(
      group: bench.names.labelGroup, topics: [bench.names.requests], options: ReaderOptions())
    try await bench.append(1_000..<1_400, partition: 2, timestamp: Self.noon)
    try await bench.label()
    #expect(try await asked() == first + left)
    await other.close()
    // And all of it is spent.
    try await bench.append(2_000..<2_400, partition: 3, timestamp: Self.noon)
    try await bench.label()
    #expect(try await asked() == 60)
    try await bench.log.close()
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
