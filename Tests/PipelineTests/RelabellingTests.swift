import Foundation
import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Teacher
import Testing
import Topics

/// Labelling a range of requests again, under other names.
@Suite struct RelabellingTests {
  private typealias Bench = LabelStageTests.Bench

  @Test("a relabelling ends where another member of its group has labelled the rest", .timeLimit(.minutes(1)))
  func sharedRange() async throws {
    let bench = try await Bench(requestPartitions: 2)
    _ = try await bench.log.append(
      (0..<6).map { index in
        let text = Bench.answered.replacing(#""good""#, with: #""\#(index)""#)
        return NewRecord(topic: bench.names.requests, partition: index % 2, key: nil, value: Array(text.utf8))
      })
    let other = try await bench.log.groupReader(
      group: bench.names.labelGroup, topics: [bench.names.requests], options: ReaderOptions())
    let range = try await RequestRange(from: .earliest, to: .latest, log: bench.log, names: bench.names)
    async let labelled: Void = bench.label(range: range)
    while await other.assignment.count != 1 { _ = try await other.next(maximum: 1, timeout: .milliseconds(20)) }
    let theirs = await other.assignment
    try await other.commit(Dictionary(uniqueKeysWithValues: theirs.map { ($0, 3) }))
    try await labelled
    await other.close()
    let samples = TopicPartition(topic: bench.names.samples, partition: 0)
    #expect(try await bench.log.watermarks(of: samples).high == 3)
    try await bench.log.close()
  }

  @Test("a request that is erased while a relabelling asks about it has no sample there")
  func erasedWhileRelabelled() async throws {
    let bench = try await Bench()
    for id in ["gone", "good"] {
      try await bench.append(Bench.answered.replacing(#""good""#, with: #""\#(id)""#), key: id)
    }
    try await bench.label()
    let range = try await RequestRange(from: .earliest, to: .latest, log: bench.log, names: bench.names)
    try await bench.label(
      range: range, as: "other",
      verifier: .inProcess(name: "slow") { _, request in
        if request.id == "gone" {
          _ = try? await Forgetting.forget(
            id: "gone", log: bench.log, names: bench.names, model: "home", cachePath: bench.folder + "/none", now: 0)
        }
        return VerifierVerdict(accepted: true)
      })
    var ids: [String] = []
    try await TopicScan.each(log: bench.log, topic: bench.names.relabelled(as: "other").samples) { record in
      ids.append(String(decoding: record.key ?? [], as: UTF8.self))
    }
    #expect(ids == ["good"])
    try await bench.log.close()
  }

  @Test("a relabelling goes on with a longer range where the shorter one ended, and is refused what it left out")
  func longerRange() async throws {
    let bench = try await Bench()
    for index in 0..<6 {
      try await bench.append(Bench.answered.replacing(#""good""#, with: #""\#(index)""#), key: "\(index)")
    }
    func range(_ start: ReplayBound, _ end: ReplayBound) async throws -> RequestRange {
      try await RequestRange(from: start, to: end, log: bench.log, names: bench.names)
    }
    func label(_ range: RequestRange, as name: String) async throws -> [String] {
      try await range.checkNoneIsLeftOut(by: bench.names.relabelled(as: name), log: bench.log)
      try await bench.label(range: range, as: name)
      var ids: [String] = []
      try await TopicScan.each(log: bench.log, topic: bench.names.relabelled(as: name).samples) { record in
        ids.append(String(decoding: record.key ?? [], as: UTF8.self))
      }
      return ids
    }
    // The requests behind the range are there to be read from the beginning.
    #expect(try await label(range(.earliest, .offset(3)), as: "longer") == ["0", "1", "2"])
    #expect(try await label(range(.earliest, .latest), as: "longer") == ["0", "1", "2", "3", "4", "5"])
    // A shorter one then has nothing to do, and takes nothing back.
    #expect(try await label(range(.earliest, .offset(3)), as: "longer").count == 6)
    #expect(try await label(range(.earliest, .latest), as: "longer").count == 6)

    #expect(try await label(range(.offset(3), .latest), as: "earlier") == ["3", "4", "5"])
    let all = try await range(.earliest, .latest)
    let refused = await #expect(throws: PipelineError.self) {
      try await all.checkNoneIsLeftOut(by: bench.names.relabelled(as: "earlier"), log: bench.log)
    }
    #expect(refused?.code == .checkpoint && refused?.subject.contains("offset 0") == true)
    try await bench.log.close()
  }
}
