import Foundation
import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Testing
import Topics

/// Dead letters keep everything, and go back once.
@Suite struct DeadLetterTests {
  /// Requests as no well-behaved producer writes them: they all end as dead letters.
  private static func hostile(_ names: TopicNames) -> [NewRecord] {
    let headers = [
      Header("x", bytes: [0x00, 0xFF, 0x80]), Header("x", "again"), Header("", "no name"),
      Header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ]
    return [
      NewRecord(topic: names.requests, key: [0xC3, 0x28, 0x00], value: [0x7B, 0xFF, 0x00], headers: headers),
      NewRecord(topic: names.requests, key: nil, value: Array("not json".utf8)),
      NewRecord(topic: names.requests, key: [], value: [], headers: headers),
      NewRecord(topic: names.requests, key: Array("tombstone".utf8), value: nil, headers: headers),
    ]
  }

  private func requests(_ bench: LabelStageTests.Bench) async throws -> [Record] {
    var records: [Record] = []
    try await TopicScan.each(log: bench.log, topic: bench.names.requests) { records.append($0) }
    return records
  }

  @Test("a dead letter holds key, value, headers, coordinates, code and attempts; put back, the bytes are the same")
  func roundTrip() async throws {
    let bench = try await LabelStageTests.Bench()
    let sent = Self.hostile(bench.names)
    _ = try await bench.log.append(sent)
    try await bench.label()
    let letters = try await DeadLetters.list(log: bench.log, names: bench.names)
    #expect(letters.count == sent.count)
    for (entry, record) in zip(letters, sent) {
      #expect(entry.letter.key == record.key)
      #expect(entry.letter.value == record.value)
      #expect(entry.letter.headers.map { Header($0.name, bytes: $0.value) } == record.headers)
      #expect(entry.letter.source.topic == bench.names.requests)
      #expect(entry.letter.attempts == 1)
      #expect(entry.letter.code == "invalid_request")
    }
    #expect(try await DeadLetters.redrive(log: bench.log, names: bench.names) { _ in true } == sent.count)
    for (record, original) in zip(try await requests(bench).suffix(sent.count), sent) {
      #expect(record.key == original.key)
      #expect(record.value == original.value)
      #expect(Array(record.headers.prefix(original.headers.count)) == original.headers)
    }

    // Dead again: the attempts add up, and what a redrive adds to the headers does not pile up.
    try await bench.label()
    let again = try await DeadLetters.list(log: bench.log, names: bench.names).filter { !$0.isRedriven }
    #expect(again.map(\.letter.attempts) == [2, 2, 2, 2])
    #expect(try await DeadLetters.redrive(log: bench.log, names: bench.names) { _ in true } == sent.count)
    let last = try #require(try await requests(bench).last)
    #expect(last.headers.count { $0.name == "redriven-from" } == 1)
    #expect(last.headers.text("redriven-attempts") == "2")
    try await bench.label()
    #expect(try await Audit.run(log: bench.log, names: bench.names).holds)
    try await bench.log.close()
  }

  @Test("a second redrive does nothing, even when retention has removed the request that the first one put back")
  func once() async throws {
    let bench = try await LabelStageTests.Bench()
    _ = try await bench.log.append(Self.hostile(bench.names))
    try await bench.label()
    #expect(try await DeadLetters.redrive(log: bench.log, names: bench.names) { $0.offset == 1 } == 1)
    #expect(try await DeadLetters.redrive(log: bench.log, names: bench.names) { $0.offset == 1 } == 0)
    // Another deployment's `requests`, empty: nothing there says what was put back.
    let elsewhere = TopicNames(prefix: "other.")
    try await DeploymentTopics.ensure(log: bench.log, names: elsewhere, requestPartitions: 1)
    var copies: [NewRecord] = []
    try await TopicScan.each(log: bench.log, topic: bench.names.deadLetters) { record in
      copies.append(
        NewRecord(
          topic: elsewhere.deadLetters, partition: 0, key: record.key, value: record.value, headers: record.headers))
    }
    _ = try await bench.log.append(copies)
    #expect(try await DeadLetters.redrive(log: bench.log, names: elsewhere) { $0.offset == 1 } == 0)
    #expect(try await DeadLetters.redrive(log: bench.log, names: elsewhere) { _ in true } == 3)
    try await bench.log.close()
  }

  @Test("redrives at the same time put each dead letter back once")
  func concurrent() async throws {
    let bench = try await LabelStageTests.Bench()
    let count = 500
    _ = try await bench.log.append(
      (0..<count).map { NewRecord(topic: bench.names.requests, key: Array("k\($0)".utf8), value: Array("?".utf8)) })
    try await bench.label()
    let (log, names) = (bench.log, bench.names)
    await withTaskGroup(of: Void.self) { tasks in
      for _ in 0..<6 {
        tasks.addTask {
          // One that is fenced says so; what it did before stands.
          _ = try? await DeadLetters.redrive(log: log, names: names) { _ in true }
        }
      }
    }
    _ = try await DeadLetters.redrive(log: log, names: names) { _ in true }
    let back = try await requests(bench).compactMap { $0.headers.text("redriven-from") }
    #expect(back.count == count)
    #expect(Set(back).count == count)
    try await bench.log.close()
  }
}
