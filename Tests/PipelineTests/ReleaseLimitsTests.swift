import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Testing
import Topics

/// What a release may say has limits; what producers write has none, and ends no release.
@Suite struct ReleaseLimitsTests {
  @Test("labels of more producers than a manifest names, or of absurdly many calls, do not end releases")
  func producers() async throws {
    let bench = try await ReleaseStageTests.Bench()
    let samples = (0..<300).map { (number: Int) in
      var sample = SampleRecord(
        id: "stranger", messages: [.user("a text that nobody learns")],
        call: Call(name: "lock_door", arguments: ["door": "front", "locked": true]), split: .dev)
      sample.producer = "producer \(number)"
      sample.usage = TokenUsage(promptTokens: 0, completionTokens: 0, calls: 1 << 53)
      return RecordCoding.record(sample, topic: bench.names.samples, key: sample.id, partition: 0)
    }
    _ = try await bench.log.append(samples)
    try await bench.learn(60..<120)
    try await bench.release()
    let releases = try await bench.history.releases(of: ReleaseStageTests.Bench.model).map(\.manifest)
    #expect(releases.last?.lineage.teachers.count == 256)
    #expect(releases.last?.evidence.first { $0.metric == "teacher_calls" }?.value == 1e15)
    try await bench.log.close()
  }
}
