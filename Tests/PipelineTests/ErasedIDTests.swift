import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Synchronization
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

  @Test("an id that looks the same and has other bytes is another's")
  func otherForm() async throws {
    let bench = try await LabelStageTests.Bench()
    let (one, two) = ("caf\u{E9}", "cafe\u{301}")
    for id in [one, two] { try await bench.append(#"{"id":"\#(id)","text":"lock the front door"}"#, key: id) }
    try await bench.label()
    let report = try await Forgetting.forget(
      id: one, log: bench.log, names: bench.names, model: "home", cachePath: bench.folder + "/none", now: 0)
    #expect(report.requests == 1)
    try await bench.log.close()
  }

  @Test("an id whose sample was erased may be used again, also where compaction has not come to the sample")
  func usedAgain() async throws {
    let bench = try await LabelStageTests.Bench()
    func send(_ text: String) async throws {
      let call = #"{"name":"lock_door","arguments":{"door":"front","locked":true}}"#
      try await bench.append(
        #"{"id":"a","text":"\#(text)","response":{"producer":"import","call":\#(call)}}"#, key: "a")
      try await bench.label()
    }
    try await send("lock the front door")
    _ = try await bench.log.append([
      NewRecord(topic: bench.names.samples, partition: 0, key: Array("a".utf8), value: nil)
    ])
    try await send("shut the front door")
    #expect(try await bench.letters() == [:])
    var text: String?
    try await TopicScan.each(log: bench.log, topic: bench.names.samples) { record in
      text =
        record.isTombstone ? nil : try RecordCoding.value(of: record, as: SampleRecord.self).messages.first?.content
    }
    #expect(text == "shut the front door")
    try await bench.log.close()
  }

  @Test(
    "an id whose sample was erased while the session ran may be used again, for the same words and for others",
    arguments: ["lock the front door", "shut the front door"])
  func erasedMeanwhile(text: String) async throws {
    let bench = try await LabelPolicyTests.Bench()
    let (log, names) = (bench.log, bench.names)
    func request(_ text: String) -> NewRecord {
      var request = RequestRecord(id: "a", text: text)
      let call = Call(name: "lock_door", arguments: ["door": "front door", "locked": true])
      request.response = RequestResponse(producer: "import", call: call)
      return RecordCoding.record(request, topic: names.requests, key: "a")
    }
    _ = try await log.append([request("lock the front door")])
    let again = request(text)
    let isErased = Atomic(false)
    let hooked = HookedLog(
      log,
      willReadOffsets: { group in
        // Asked whether it may end, once the first has its sample.
        let partition = TopicPartition(topic: names.samples, partition: 0)
        guard group == names.labelGroup, try await log.watermarks(of: partition).high > 0,
          !isErased.exchange(true, ordering: .relaxed)
        else { return }
        _ = try await log.append([
          NewRecord(topic: names.samples, partition: 0, key: Array("a".utf8), value: nil), again,
        ])
      })
    try await bench.label(selective: false, hooked: hooked)
    var texts: [String?] = []
    try await TopicScan.each(log: log, topic: names.samples) { record in
      texts.append(
        record.isTombstone ? nil : try RecordCoding.value(of: record, as: SampleRecord.self).messages.first?.content)
    }
    #expect(texts == ["lock the front door", nil, text])
    #expect(try await DeadLetters.list(log: log, names: names).isEmpty)
    let audit = try await Audit.run(log: log, names: names)
    #expect(audit.holds && audit.skipped == 0, "\(audit.findings)")
    try await log.close()
  }
}
