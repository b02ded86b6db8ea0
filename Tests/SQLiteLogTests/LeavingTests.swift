import MessageLog
import SQLiteLog
import Testing

@Suite("Leaving a group")
struct LeavingTests {
  @Test("A member that is closed by a cancelled task leaves at once: nobody waits for its lease")
  func cancelled() async throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let log = try SQLiteLog(path: folder.path + "/log.db")
    try await log.create([TopicConfiguration(name: "t")])
    _ = try await log.append([NewRecord(topic: "t", key: nil, value: [1])])
    let options = ReaderOptions(sessionTimeout: .seconds(3_600))
    let first = try await log.groupReader(group: "g", topics: ["t"], options: options)
    #expect(try await first.next(maximum: 1, timeout: .seconds(60)).count == 1)
    let closing = Task {
      while !Task.isCancelled { await Task.yield() }
      await first.close()
    }
    closing.cancel()
    await closing.value
    let second = try await log.groupReader(group: "g", topics: ["t"], options: options)
    #expect(try await second.next(maximum: 1, timeout: .seconds(60)).count == 1)
    await second.close()
    try await log.close()
  }

  @Test("A member that nothing keeps gives up partitions at once: the new one does not wait for its next heartbeat")
  func givingUp() async throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let log = try SQLiteLog(path: folder.path + "/log.db")
    try await log.create([TopicConfiguration(name: "t", partitions: 2)])
    _ = try await log.append((0..<2).map { NewRecord(topic: "t", partition: $0, key: nil, value: [1]) })
    let options = ReaderOptions(sessionTimeout: .seconds(3_600))
    let first = try await log.groupReader(group: "g", topics: ["t"], options: options)
    #expect(await first.ownership.count == 2)
    let second = try await log.groupReader(group: "g", topics: ["t"], options: options)
    let reading = Task {
      while !Task.isCancelled { _ = try await first.next(maximum: 1, timeout: .milliseconds(20)) }
    }
    #expect(try await second.next(maximum: 1, timeout: .seconds(60)).count == 1)
    reading.cancel()
    _ = await reading.result
    await first.close()
    await second.close()
    try await log.close()
  }
}
