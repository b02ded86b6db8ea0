import Foundation
import MessageLog
import SQLiteLog
import Testing

/// Two logs opened on one file share nothing but the file: they stand for two processes.
@Suite("Several processes share one file")
struct ProcessTests {
  let folder: TemporaryFolder
  static let place = TopicPartition(topic: "t", partition: 0)

  init() throws { folder = try TemporaryFolder() }

  private func open() throws -> SQLiteLog { try SQLiteLog(path: folder.file("log.db")) }

  @Test("partitions that another process added are known to logs that were open before")
  func addedPartitions() async throws {
    var logs: [SQLiteLog] = []
    for _ in 0..<3 { logs.append(try SQLiteLog(path: folder.file("log.db"), options: .init(maintenanceInterval: nil))) }
    var topic = TopicConfiguration(name: "t", cleanup: [.delete], retentionMilliseconds: 1_000)
    try await logs[0].create([topic])
    for log in logs { _ = try await log.append([NewRecord(topic: "t", key: nil, value: [1], timestamp: 5)]) }
    topic.partitions = 3
    try await logs[0].alter([topic])
    let added = TopicPartition(topic: "t", partition: 2)
    let old = NewRecord(topic: "t", partition: 2, key: nil, value: [2], timestamp: 5)
    #expect(try await logs[1].append([old])[0].topicPartition == added)
    #expect(try await logs[2].maintain().expiredRecords == 4)
    let late = try open()
    #expect(try await late.watermarks(of: Self.place).high == 3)
    topic.partitions = 4
    try await logs[0].alter([topic])
    let last = TopicPartition(topic: "t", partition: 3)
    #expect(try await logs[1].watermarks(of: last).high == 0)
    #expect(try await logs[2].reader(of: [last: .earliest], options: ReaderOptions()).positions == [last: 0])
    #expect(try await late.offset(of: last, at: 0) == nil)
    let none = await #expect(throws: MessageLogError.self) {
      _ = try await late.watermarks(of: TopicPartition(topic: "t", partition: 4))
    }
    #expect(none?.code == .unknownTopic && none?.partition == 4)
    for log in logs { try await log.close() }
    try await late.close()
  }

  @Test("many create the file at the same moment")
  func creation() async throws {
    let path = folder.file("log.db")
    let logs = try await withThrowingTaskGroup(of: SQLiteLog.self) { tasks in
      for _ in 0..<6 {
        tasks.addTask {
          let log = try SQLiteLog(path: path)
          try await log.create([TopicConfiguration(name: "t")])
          return log
        }
      }
      return try await tasks.reduce(into: []) { $0.append($1) }
    }
    for log in logs {
      #expect(try await log.topics().map(\.name) == ["t"])
      try await log.close()
    }
  }

  @Test("appends of four writers interleave without loss or gaps")
  func writers() async throws {
    let logs = try (0..<4).map { _ in try open() }
    try await logs[0].create([TopicConfiguration(name: "t")])
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      for (writer, log) in logs.enumerated() {
        tasks.addTask {
          for step in 0..<30 {
            _ = try await log.append([NewRecord(topic: "t", key: [UInt8(writer)], value: [UInt8(step)])])
          }
        }
      }
      try await tasks.waitForAll()
    }
    let reader = try await logs[3].reader(of: [Self.place: .earliest], options: ReaderOptions())
    var records: [Record] = []
    while records.count < 120 {
      let more = try await reader.next(maximum: 1000, timeout: .seconds(5))
      try #require(!more.isEmpty)
      records += more
    }
    #expect(records.map(\.offset) == Array(0..<120))
    for writer in 0..<4 {
      #expect(records.filter { $0.key == [UInt8(writer)] }.map(\.value) == (0..<30).map { [UInt8($0)] })
    }
    for log in logs { try await log.close() }
  }

  @Test("exactly once through three members, rebalances and a member that is killed", .timeLimit(.minutes(1)))
  func exactlyOnce() async throws {
    let total = 600
    let first = try open()
    try await first.create([TopicConfiguration(name: "in", partitions: 6), TopicConfiguration(name: "out")])
    let source = first
    let feeding = Task {
      for block in 0..<(total / 10) {
        _ = try await source.append(
          (0..<10).map { NewRecord(topic: "in", partition: $0 % 6, key: nil, value: Array("\(block)/\($0)".utf8)) })
      }
    }
    let path = folder.file("log.db")
    let killed = try open()
    let workers = [killed, try open(), try open()].enumerated().map { number, log in
      Task { try? await Self.work(log, id: "w\(number)", delay: .milliseconds(number * 150)) }
    }
    try await Task.sleep(for: .milliseconds(700))
    try await killed.abandon()
    try await feeding.value
    let reader = try await first.reader(of: [TopicPartition(topic: "out", partition: 0): .earliest], options: .init())
    var texts: [String] = []
    let deadline = ContinuousClock.now + .seconds(30)
    while texts.count < total, ContinuousClock.now < deadline {
      texts += try await reader.next(maximum: 100, timeout: .milliseconds(500))
        .map { String(decoding: $0.value ?? [], as: UTF8.self) }
    }
    texts += try await reader.next(maximum: 100, timeout: .milliseconds(300)).map { _ in "one too many" }
    for worker in workers { worker.cancel() }
    for worker in workers { await worker.value }
    #expect(texts.count == total)
    #expect(Set(texts).count == total)
    let committed = try await first.committedOffsets(group: "g")
    #expect(committed.values.reduce(0, +) == Int64(total))
    try await first.close()
    #expect(FileManager.default.fileExists(atPath: path))
  }

  /// Copies `in` to `out`, each batch in one transaction with the group's offsets; drops what was fenced.
  private static func work(_ log: SQLiteLog, id: String, delay: Duration) async throws {
    try await Task.sleep(for: delay)
    let options = ReaderOptions(sessionTimeout: .milliseconds(500))
    let reader = try await log.groupReader(group: "g", topics: ["in"], options: options)
    let writer = try await log.transactionalWriter(id: id)
    while !Task.isCancelled {
      let membership = try await reader.membership
      let records = try await reader.next(maximum: 7, timeout: .milliseconds(50))
      if records.isEmpty { continue }
      var offsets: [TopicPartition: Int64] = [:]
      for record in records { offsets[record.topicPartition] = record.offset + 1 }
      do {
        let output = records.map { NewRecord(topic: "out", key: nil, value: $0.value) }
        _ = try await writer.commit(append: output, offsets: GroupOffsets(membership: membership, offsets: offsets))
      } catch let error as MessageLogError where error.code == .fenced {
        let committed = try await log.committedOffsets(group: "g")
        for place in offsets.keys { try? await reader.seek(place, to: .offset(committed[place] ?? 0)) }
      }
    }
    await reader.close()
  }

  @Test("memory that waits for a slow reader stays within its bound")
  func prefetch() async throws {
    let log = try open()
    try await log.create([TopicConfiguration(name: "t")])
    for _ in 0..<40 {
      _ = try await log.append(
        (0..<100).map { _ in NewRecord(topic: "t", key: nil, value: [UInt8](repeating: 1, count: 1024)) })
    }
    let options = ReaderOptions(maximumPrefetchBytes: 300_000)
    let reader = try await log.reader(of: [Self.place: .earliest], options: options)
    var count = 0
    while count < 4000 {
      count += try await reader.next(maximum: 10, timeout: .seconds(5)).count
      let waiting = try #require(await log.queuedBytes(of: reader))
      #expect(waiting < 420_000)
    }
    try await log.close()
  }

  @Test("the benchmark reads back what it appended")
  func benchmark() async throws {
    let log = try open()
    let result = try await LogBenchmark.run(log: log, records: 3000, valueBytes: 100, batch: 500)
    #expect(result.records == 3000 && result.appendPerSecond > 0 && result.readPerSecond > 0)
    try await log.close()
  }

  @Test("background maintenance compacts and expires without being asked")
  func lazyMaintenance() async throws {
    let log = try SQLiteLog(
      path: folder.file("log.db"), options: .init(maintenanceInterval: .milliseconds(1)))
    try await log.create([
      TopicConfiguration(name: "t", cleanup: [.delete], retentionMilliseconds: 1000),
      TopicConfiguration(name: "c", cleanup: [.compact]),
    ])
    _ = try await log.append([NewRecord(topic: "t", key: nil, value: [1], timestamp: 5)])
    for step in 0..<50 {
      _ = try await log.append([NewRecord(topic: "c", key: [1], value: [UInt8(step)])])
      try await Task.sleep(for: .milliseconds(5))
      if try await log.watermarks(of: Self.place).low == 1 { break }
    }
    #expect(try await log.watermarks(of: Self.place) == Watermarks(low: 1, high: 1))
    try await log.close()
  }
}
