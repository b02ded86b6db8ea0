import DemoWorld
import Evaluation
import MessageLog
import Pipeline
import Releases
import RetortClient
import SQLiteLog
import Synchronization
import Teacher
import Testing
import Topics

/// The label stage with a labelling policy, over the embedded log and the stand-in teacher.
@Suite struct LabelPolicyTests {
  @Test(
    "without a release everything is labelled; a sure student leaves the uniform share; every request has one outcome")
  func share() async throws {
    let bench = try await Bench()
    try await bench.append(0..<150)
    try await bench.label()
    let first = try await bench.samples()
    #expect(first.allSatisfy { $0.choice?.reason == .noStudent && $0.propensity == 1 && $0.audited })
    try await bench.deploy(intercept: 30, epoch: 1)
    try await bench.append(1_000..<1_600)
    try await bench.label()

    let samples = try await bench.samples().dropFirst(first.count)
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds, "\(audit.findings)")
    #expect(audit.requests == 750)
    // About a tenth of 528 and half of 72; an untrained student's invalid answers have no confidence and are uncertain.
    for sample in samples {
      let choice = try #require(sample.choice)
      let coin = bench.policy.coin(of: sample.id)
      #expect(sample.audited == (coin < bench.policy.uniformShare(of: sample.split ?? .train)))
      switch choice.reason {
      case .audit:
        #expect(sample.audited && sample.propensity == bench.policy.uniformShare(of: sample.split ?? .train))
      case .uncertain: #expect(sample.propensity == 1 && choice.student?.confidence == 0 && sample.split == .train)
      default: Issue.record("\(choice.reason)")
      }
      #expect(choice.student?.version == 1 && choice.student?.model == "home")
    }
    let audited = samples.count { $0.choice?.reason == .audit }
    #expect((40...140).contains(audited), "\(audited)")
    let report = try await LabellingReport.read(log: bench.log, names: bench.names, model: "home")
    #expect(report.skipped["confident", default: 0] + report.skipped["held_out", default: 0] > 300)
    #expect(report.asked == audit.samples + audit.deadLetters)
    #expect(report.live.map(\.version) == [1])
    #expect(try #require(report.live.first).count == samples.count)
    try await bench.log.close()
  }

  @Test("how right releases are on live requests is said of one model's: another's versions have the same numbers")
  func models() async throws {
    let bench = try await Bench()
    let answers: [(id: String, model: String?, exact: Bool)] = [
      ("a", "home", true), ("b", "try-2", false), ("c", nil, true), ("d", "try-2", false),
    ]
    for (id, model, exact) in answers {
      var sample = SampleRecord(
        id: id, messages: [.user("lock door \(id)")], call: Call(name: "lock_door", arguments: [:]), split: .train)
      sample.choice = LabelChoice(
        reason: .audit, student: .init(model: model, version: 1, confidence: 0.5, exact: exact))
      sample.propensity = 0.1
      _ = try await bench.log.append([
        RecordCoding.record(sample, topic: bench.names.samples, key: id, partition: 0)
      ])
    }
    for (model, count, share) in [("home", 2, 1.0), ("try-2", 3, 1 / 3.0)] {
      let report = try await LabellingReport.read(log: bench.log, names: bench.names, model: model)
      let live = try #require(report.live.first)
      #expect(report.live.count == 1 && live.version == 1 && live.count == count)
      #expect(abs(live.exactMatch.estimate - share) < 1e-9)
    }
    try await bench.log.close()
  }

  @Test("an unsure student has everything labelled once; the same words again are skipped")
  func unsure() async throws {
    let bench = try await Bench()
    try await bench.deploy(intercept: -30, epoch: 1)
    try await bench.append(0..<80)
    try await bench.label()
    let samples = try await bench.samples()
    #expect(samples.filter { $0.split == .train }.allSatisfy { $0.choice?.reason == .uncertain })
    #expect(samples.filter { $0.split == .train }.contains { !$0.audited })
    // The same texts under other ids.
    try await bench.append(0..<80, prefix: "again-")
    let asked = try await LabellingReport.read(log: bench.log, names: bench.names, model: "home").asked
    try await bench.label()
    let report = try await LabellingReport.read(log: bench.log, names: bench.names, model: "home")
    #expect(report.skipped["near_duplicate", default: 0] > 40)
    #expect(report.asked - asked < 25)
    #expect(try await Audit.run(log: bench.log, names: bench.names).holds)
    try await bench.log.close()
  }

  @Test("requests whose partition is lost while the teacher is asked, and comes back, are decided on anew and labelled")
  func lostPartition() async throws {
    let (plain, bench) = (try await Bench(), try await Bench())
    try await plain.append(0..<30)
    try await plain.label()
    try await bench.append(0..<30)
    let hooked = HookedLog(bench.log)
    let hasMoved = Atomic(false)
    try await bench.label(
      hooked: hooked,
      verifier: .inProcess(name: "none") { _, _ in
        // The first answer is there, and nothing is written.
        if !hasMoved.exchange(true, ordering: .relaxed) { hooked.rebalance() }
        return VerifierVerdict(accepted: true)
      })
    let wasMoved = hasMoved.load(ordering: .relaxed)
    #expect(wasMoved)
    let expected = try await plain.samples()
    #expect(expected.count > 20)
    #expect(try await bench.samples().map(\.id) == expected.map(\.id))
    let skipped = try await LabellingReport.read(log: bench.log, names: bench.names, model: "home").skipped
    #expect(try await LabellingReport.read(log: plain.log, names: plain.names, model: "home").skipped == skipped)
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds && audit.requests == 30, "\(audit.findings)")
    try await plain.log.close()
    try await bench.log.close()
  }

  @Test("requests whose transaction is refused are decided on anew and labelled, not taken for what was asked already")
  func refusedTransaction() async throws {
    let (plain, bench) = (try await Bench(), try await Bench())
    try await plain.append(0..<30)
    try await plain.label()
    try await bench.append(0..<30)
    let isRefused = Atomic(false)
    try await bench.label(
      hooked: HookedLog(
        bench.log,
        willCommit: {
          guard !isRefused.exchange(true, ordering: .relaxed) else { return }
          throw MessageLogError(.fenced, "others have it", advice: "read on", isRetriable: true)
        }))
    let expected = try await plain.samples()
    #expect(expected.count > 20)
    #expect(try await bench.samples().map(\.id) == expected.map(\.id))
    let skipped = try await LabellingReport.read(log: bench.log, names: bench.names, model: "home").skipped
    #expect(try await LabellingReport.read(log: plain.log, names: plain.names, model: "home").skipped == skipped)
    try await plain.log.close()
    try await bench.log.close()
  }

  @Test("a release that could not be loaded for a passing reason is looked at again")
  func loadedLater() async throws {
    let bench = try await Bench()
    try await bench.deploy(intercept: 30, epoch: 1)
    try await bench.append(0..<300)
    let hasFailed = Atomic(false)
    try await bench.label(keys: { trusted in
      if hasFailed.exchange(true, ordering: .relaxed) { return trusted }
      throw PipelineError(.store, "keys", expected: "a file", found: "none", advice: "mount it")
    })
    let samples = try await bench.samples()
    #expect(samples.first?.choice?.reason == .noStudent)
    #expect(samples.last?.choice?.student?.version == 1)
    #expect(samples.count < 250)
    try await bench.log.close()
  }

  @Test("a trusted answer costs nothing, so no policy leaves it out; without a policy nothing is said of choices")
  func free() async throws {
    let bench = try await Bench()
    bench.policy.dailyBudget = 1
    let request = RequestGrammar(seed: 7).request(at: 3)
    for id in ["a", "b", "c"] {
      var record = RequestRecord(id: id, text: request.text)
      record.response = RequestResponse(producer: "import", call: request.call)
      _ = try await bench.log.append([RecordCoding.record(record, topic: bench.names.requests, key: id)])
    }
    #expect(try await bench.label().requests == 0)
    #expect(try await bench.samples().map(\.choice?.reason) == [.recorded, .recorded, .recorded])
    #expect(try await LabellingReport.read(log: bench.log, names: bench.names, model: "home").asked == 0)
    try await bench.append(10..<12)
    try await bench.label(selective: false)
    let samples = try await bench.samples().suffix(2)
    #expect(samples.allSatisfy { $0.choice == nil && $0.audited && $0.propensity == 1 })
    #expect(try await LabellingReport.read(log: bench.log, names: bench.names, model: "home").asked == 2)
    try await bench.log.close()
  }

  @Test("a release that nobody trusts is not asked: the one before is, or everything is labelled")
  func untrusted() async throws {
    let bench = try await Bench()
    try await bench.deploy(intercept: 30, epoch: 1)
    let other = try SigningKey.generate().sign(
      DeploymentRecord(
        epoch: 2, action: .promote,
        manifest: try #require(
          try await DeploymentScan(log: bench.log, names: bench.names, keys: nil).newest(of: "home")
        ).manifest,
        reason: "forged", time: "2026-01-01T00:00:00Z"))
    _ = try await bench.log.append([RecordCoding.record(other, topic: bench.names.models, key: "home")])
    try await bench.append(0..<30)
    try await bench.label()
    let samples = try await bench.samples()
    #expect(samples.count < 30 && samples.allSatisfy { $0.choice?.student?.version == 1 })
    try await bench.log.close()

    let alone = try await Bench()
    _ = try await alone.log.append([RecordCoding.record(other, topic: alone.names.models, key: "home")])
    try await alone.append(0..<30)
    try await alone.label()
    #expect(try await alone.samples().allSatisfy { $0.choice?.reason == .noStudent })
    try await alone.log.close()
  }
}
