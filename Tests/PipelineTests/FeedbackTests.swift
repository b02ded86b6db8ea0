import DemoWorld
import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Teacher
import Testing
import Topics

/// Corrections from production, joined into samples.
@Suite struct FeedbackTests {
  private static let right = Call(name: "lock_door", arguments: ["door": "back door", "locked": true])

  private static func feedback(_ id: String, producer: String? = "people", call: Call? = right) -> FeedbackRecord {
    FeedbackRecord(requestID: id, score: 0, call: call, producer: producer)
  }

  @Test("a trusted correction replaces the label, once; others, unknown requests and broken calls change nothing")
  func corrections() async throws {
    let bench = try await LabelPolicyTests.Bench()
    try await bench.append(0..<6)
    try await bench.label(selective: false)
    let before = try await bench.samples()
    let old = try #require(before.first)
    try await bench.join([
      Self.feedback(old.id), Self.feedback("nobody"), Self.feedback(before[1].id, producer: "retort/home@1"),
      Self.feedback(before[2].id, producer: nil), Self.feedback(before[3].id, call: nil),
      Self.feedback(before[4].id, call: Call(name: "no_such_function", arguments: [:])),
    ])
    let after = try await bench.samples()
    #expect(after.count == before.count + 1)
    let new = try #require(after.last)
    #expect(new.id == old.id && new.call == Self.right && new.producer == "people")
    #expect(new.messages == old.messages && new.split == old.split && new.digest != old.digest)
    #expect(new.source == old.source)
    // The same again, and a second run: nothing new.
    try await bench.join([Self.feedback(old.id)])
    try await bench.join([])
    #expect(try await bench.samples().count == after.count)
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds && audit.requests == 6, "\(audit.findings)")
    // Sent again by the client, the request is a duplicate and does not bring the old label back.
    try await bench.append(0..<6)
    try await bench.label(selective: false)
    #expect(try await bench.samples().count == after.count)
    try await bench.log.close()
  }

  @Test(
    "the correction of a skipped request becomes a training sample; of a held-out one nothing, lest the gate be made of complaints"
  )
  func skipped() async throws {
    let bench = try await LabelPolicyTests.Bench()
    bench.policy.dailyBudget = 1
    try await bench.append(0..<200)
    try await bench.label()
    let before = try await bench.samples()
    try await bench.join((0..<200).map { Self.feedback("\($0)") })
    let added = try await bench.samples().dropFirst(before.count)
    let own = Set(before.map(\.id))
    #expect(added.count > 100)
    #expect(added.allSatisfy { $0.split == .train || own.contains($0.id) })
    #expect(added.filter { !own.contains($0.id) }.allSatisfy { !$0.audited && $0.call == Self.right })
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds, "\(audit.findings)")
    try await bench.log.close()
  }

  @Test("the answers that a release gave are no labels, neither with the request nor as feedback")
  func ownAnswers() async throws {
    let bench = try await LabelPolicyTests.Bench()
    var request = RequestRecord(id: "own", text: "lock the back door")
    request.response = RequestResponse(producer: "retort/home@3", call: Call(name: "lock_door", arguments: [:]))
    _ = try await bench.log.append([RecordCoding.record(request, topic: bench.names.requests, key: "own")])
    try await bench.label(selective: false)
    let sample = try #require(try await bench.samples().first)
    #expect(sample.producer == StandInTeacher.model)
    #expect(sample.call == Self.right)
    try await bench.join([
      Self.feedback("own", producer: "retort/home@3", call: Call(name: "lock_door", arguments: ["door": "front door"]))
    ])
    #expect(try await bench.samples().count == 1)
    try await bench.log.close()
  }
}
