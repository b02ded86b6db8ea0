import Pipeline
import RetortClient
import SQLiteLog
import Teacher
import Testing
import Topics

/// What the label stage makes of traffic that the deployed student is less and less sure of.
@Suite struct LabelDriftTests {
  private typealias Bench = LabelPolicyTests.Bench

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
}
