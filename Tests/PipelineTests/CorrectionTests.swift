import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Synchronization
import Testing
import Topics

/// Corrections and the requests that they are of, which come again.
@Suite struct CorrectionTests {
  private static func lock(_ door: String) -> Call {
    Call(name: "lock_door", arguments: ["door": .string(door), "locked": true])
  }

  private static let text = "lock the front door, the back door or the cellar door"

  /// Sends the request with its answer.
  private static func send(_ door: String, _ bench: LabelPolicyTests.Bench) async throws {
    var request = RequestRecord(id: "a", text: text)
    request.response = RequestResponse(producer: "import", call: lock(door))
    _ = try await bench.log.append([RecordCoding.record(request, topic: bench.names.requests, key: "a")])
  }

  private static func correct(_ door: String, _ bench: LabelPolicyTests.Bench) async throws {
    try await bench.join([FeedbackRecord(requestID: "a", score: 0, call: lock(door), producer: "people")])
  }

  private static func labels(_ bench: LabelPolicyTests.Bench) async throws -> [Call?] {
    try await bench.samples().map(\.call)
  }

  @Test("a request that comes again does not undo its correction, whatever was restarted or compacted meanwhile")
  func sentAgain() async throws {
    let bench = try await LabelPolicyTests.Bench()
    try await Self.send("front door", bench)
    try await bench.label(selective: false)
    try await Self.correct("back door", bench)
    for _ in 0..<2 {
      try await Self.send("front door", bench)
      try await bench.label(selective: false)
      #expect(try await Self.labels(bench).last == Self.lock("back door"))
      _ = try await bench.log.maintain()
    }
    // A score of it leaves it a correction.
    try await bench.join(
      [FeedbackRecord(requestID: "a", score: 0, answer: Self.lock("cellar door"), producer: "people")], scores: true)
    try await Self.send("front door", bench)
    try await bench.label(selective: false)
    #expect(try await Self.labels(bench).last == Self.lock("back door"))
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds && audit.skipped == 3, "\(audit.findings)")
    try await bench.log.close()
  }

  @Test("a new answer does not undo a correction that was joined while the session ran; of what was scored it relabels")
  func joinedMeanwhile() async throws {
    let bench = try await LabelPolicyTests.Bench()
    try await Self.send("front door", bench)
    try await bench.label(selective: false)
    try await bench.join(
      [FeedbackRecord(requestID: "a", score: 0, answer: Self.lock("cellar door"), producer: "people")], scores: true)
    try await Self.send("cellar door", bench)
    try await bench.label(selective: false)
    #expect(try await Self.labels(bench) == ["front door", "front door", "cellar door"].map { Self.lock($0) })

    try await Self.send("front door", bench)
    let (log, names) = (bench.log, bench.names)
    let corrected = SampleRecord(
      id: "a", messages: [.user(Self.text)], call: Self.lock("back door"), split: .train, audited: false)
    let feedback = Record(topic: names.feedback, partition: 0, offset: 0, timestamp: 0, key: nil, value: [])
    let isJoined = Atomic(false)
    let hooked = HookedLog(
      log,
      willRead: { starts in
        // The end of what is learned of them is known.
        guard starts.keys.contains(where: { $0.topic == names.samples }),
          !isJoined.exchange(true, ordering: .relaxed)
        else { return }
        _ = try await log.append([
          RecordCoding.record(corrected, topic: names.samples, key: "a", partition: 0, derivedFrom: feedback)
        ])
      })
    try await bench.label(selective: false, hooked: hooked)
    #expect(try await Self.labels(bench).last == Self.lock("back door"))
    try await bench.log.close()
  }

  @Test("what was scored is relabelled and what was corrected is not, also where compaction took the versions before")
  func scoredAndCompacted() async throws {
    let bench = try await LabelPolicyTests.Bench()
    let partition = TopicPartition(topic: bench.names.samples, partition: 0)
    func score(_ door: String) async throws {
      try await bench.join(
        [FeedbackRecord(requestID: "a", score: 0, answer: Self.lock(door), producer: "people")], scores: true)
      // As compaction does.
      let last = try await bench.log.watermarks(of: partition).high - 1
      _ = try await bench.log.erase([partition: Set(0..<last)])
      #expect(try await bench.samples().map(\.judged.last?.call) == [Self.lock(door)])
    }
    try await Self.send("front door", bench)
    try await bench.label(selective: false)
    try await score("back door")
    try await Self.send("cellar door", bench)
    try await bench.label(selective: false)
    #expect(try await Self.labels(bench).last == Self.lock("cellar door"))

    try await Self.correct("back door", bench)
    try await score("front door")
    try await Self.send("cellar door", bench)
    try await bench.label(selective: false)
    #expect(try await Self.labels(bench) == [Self.lock("back door")])
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds && audit.skipped == 1, "\(audit.findings)")
    try await bench.log.close()
  }

  @Test("corrections are committed in order, no more than 16 MB at once")
  func parts() {
    let records = (0..<5).map { (number: UInt8) in
      NewRecord(topic: "samples", key: [number], value: [UInt8](repeating: 0, count: (number == 4 ? 20 : 7) << 20))
    }
    #expect(FeedbackStage.parts(records).map { $0.map(\.key) } == [[[0], [1]], [[2], [3]], [[4]]])
  }
}
