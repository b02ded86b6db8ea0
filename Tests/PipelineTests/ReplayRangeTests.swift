import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Testing
import Topics

/// What a replay reads.
@Suite struct ReplayRangeTests {
  private func sample(_ id: String, _ names: TopicNames, text: String? = nil) -> NewRecord {
    let record = SampleRecord(
      id: id, messages: [.user(text ?? "lock the \(id) door")],
      call: Call(name: "lock_door", arguments: ["door": .string(id), "locked": true]), split: .train)
    return RecordCoding.record(record, topic: names.samples, key: id, partition: 0)
  }

  private func tombstone(_ id: String, _ names: TopicNames) -> NewRecord {
    NewRecord(topic: names.samples, partition: 0, key: Array(id.utf8), value: nil)
  }

  @Test("bounds are earliest, latest, offsets, times and days, and nothing else")
  func bounds() {
    #expect(ReplayBound("earliest") == .earliest)
    #expect(ReplayBound("latest") == .latest)
    #expect(ReplayBound("0042") == .offset(42))
    #expect(ReplayBound("2026-03-02T07:14:05Z") == .time(1_772_435_645_000))
    #expect(ReplayBound("2026-03-02T08:14:05+01:00") == .time(1_772_435_645_000))
    #expect(ReplayBound("2026-03-02") == .time(1_772_409_600_000))
    for text in ["", "-1", "+1", "1e3", "yesterday", "2026-13-01", "2026-03-02T25:00:00Z", "99999999999999999999", "٣"]
    {
      #expect(ReplayBound(text) == nil, "\(text)")
    }
  }

  @Test("records lost to retention are an error that names the missing range")
  func lost() async throws {
    let bench = try await LabelStageTests.Bench()
    let log = bench.log
    try await log.create([TopicConfiguration(name: "t", cleanup: [.delete], retentionMilliseconds: 3_600_000)])
    let longAgo: Int64 = 1_600_000_000_000
    _ = try await log.append(
      (0..<10).map { NewRecord(topic: "t", key: nil, value: [1], timestamp: longAgo + Int64($0)) })
    _ = try await log.append((0..<5).map { _ in NewRecord(topic: "t", key: nil, value: [2]) })
    _ = try await log.maintain()
    let place = TopicPartition(topic: "t", partition: 0)
    func resolve(_ from: ReplayBound, _ to: ReplayBound) async throws -> Range<Int64> {
      try await ReplayBound.resolve(from: from, to: to, of: place, log: log)
    }
    #expect(try await resolve(.earliest, .latest) == 10..<15)
    #expect(try await resolve(.offset(12), .offset(14)) == 12..<14)
    #expect(try await resolve(.earliest, .time(.max)) == 10..<15)
    for (bound, missing) in [(ReplayBound.offset(4), "offsets 4 to 9"), (.time(longAgo + 3), "offsets 0 to 9")] {
      let error = await #expect(throws: MessageLogError.self) { try await resolve(bound, .latest) }
      #expect(error?.code == .outOfRange)
      #expect(error?.description.contains(missing) == true, "\(String(describing: error))")
    }
    await #expect(throws: MessageLogError.self) { try await resolve(.offset(99), .latest) }
    await #expect(throws: PipelineError.self) { try await resolve(.latest, .latest) }
    try await log.close()
  }

  @Test("what is erased or replaced later, even behind the range, is left out; the rest has one name, compacted or not")
  func erasedLater() async throws {
    let bench = try await LabelStageTests.Bench()
    let (log, names) = (bench.log, bench.names)
    let other = TopicNames(prefix: "other.")
    try await DeploymentTopics.ensure(log: log, names: other, requestPartitions: 1)
    _ = try await log.append([
      sample("a", names), sample("b", names), sample("c", names), tombstone("b", names), sample("d", names),
      // Sent again after the erasure: a new sample, and another version of an old one.
      sample("b", names, text: "again"), sample("a", names, text: "relabelled"),
    ])
    let range = try await ReplayRange(0..<3, log: log, names: names)
    #expect((range.records, range.erased) == (1, 1), "c; a has a newer version behind the range, b was erased there")
    let whole = try await ReplayRange(0..<7, log: log, names: names)
    #expect((whole.records, whole.erased) == (4, 1))

    // The same samples elsewhere, with others that were erased between: other offsets, the same range.
    _ = try await log.append([
      sample("x", other), sample("c", other), sample("y", other), sample("d", other), tombstone("y", other),
      sample("b", other, text: "again"), sample("a", other, text: "relabelled"), tombstone("x", other),
    ])
    let moved = try await ReplayRange(0..<8, log: log, names: other)
    #expect(moved.digest == whole.digest)
    #expect(moved.erased == 2)
    #expect(range.digest != whole.digest)
    await #expect(throws: PipelineError.self) { try await ReplayRange(0..<1, log: log, names: other) }

    // Compaction takes what was superseded; the ranges stay what they were.
    #expect(try await log.maintain().compactedRecords > 0)
    #expect(try await ReplayRange(0..<3, log: log, names: names).digest == range.digest)
    #expect(try await ReplayRange(0..<7, log: log, names: names).digest == whole.digest)
    #expect(try await ReplayRange(0..<8, log: log, names: other).digest == whole.digest)
    try await log.close()
  }
}
