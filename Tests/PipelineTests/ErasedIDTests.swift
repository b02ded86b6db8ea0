import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Testing
import Topics

/// What becomes of an id that a deletion request names.
@Suite struct ErasedIDTests {
  @Test("feedback is found by the request that it names, whatever its key; what cannot be read by its key")
  func feedback() async throws {
    let bench = try await LabelStageTests.Bench()
    let (log, names) = (bench.log, bench.names)
    func said(_ id: String, key: String?) -> NewRecord {
      NewRecord(
        topic: names.feedback, key: key.map { Array($0.utf8) },
        value: FeedbackRecord(requestID: id, score: 0).json.bytes)
    }
    _ = try await log.append([
      said("gone", key: nil), said("gone", key: "other"), said("other", key: "gone"),
      NewRecord(topic: names.feedback, key: Array("gone".utf8), value: Array("no JSON".utf8)),
    ])
    let report = try await Forgetting.forget(
      id: "gone", log: log, names: names, model: "home", cachePath: bench.folder + "/none", now: 0)
    #expect(report.removed == 3)
    var left: [String] = []
    try await TopicScan.each(log: log, topic: names.feedback) { record in
      left.append(try RecordCoding.value(of: record, as: FeedbackRecord.self).requestID)
    }
    #expect(left == ["other"])
    try await log.close()
  }
}
