import Foundation
import GRDB
import MessageLog
import SQLiteLog
import Testing

@Suite("Erased bytes are gone from the files")
struct ErasingTests {
  let folder: TemporaryFolder
  var path: String { folder.file("log.db") }
  static let place = TopicPartition(topic: "t", partition: 0)

  init() throws { folder = try TemporaryFolder() }

  private func open() throws -> SQLiteLog {
    try SQLiteLog(path: path, options: .init(busyTimeout: .milliseconds(100), maintenanceInterval: nil))
  }

  private func record(_ text: String, topic: String = "t") -> NewRecord {
    NewRecord(topic: topic, key: nil, value: Array(text.utf8), timestamp: 5)
  }

  private func filesHold(_ text: String) -> Bool {
    [path, path + "-wal"].contains {
      FileManager.default.contents(atPath: $0)?.range(of: Data(text.utf8)) != nil
    }
  }

  @Test("at once, while other processes have the log open")
  func whileOpen() async throws {
    let (log, other) = (try open(), try open())
    try await log.create([TopicConfiguration(name: "t")])
    _ = try await log.append([record("kept qzx"), record("erased qzx")])
    let reader = try await other.reader(of: [Self.place: .earliest], options: ReaderOptions())
    #expect(try await reader.next(maximum: 10, timeout: .zero).count == 2)
    #expect(filesHold("erased qzx"))
    #expect(try await log.erase([Self.place: [1]]) == 1)
    #expect(filesHold("kept qzx") && !filesHold("erased qzx"))
    #expect(try await other.append([record("next")])[0].offset == 2)
    #expect(try await reader.next(maximum: 10, timeout: .seconds(5)).map(\.offset) == [2])
    try await other.close()
    try await log.close()
  }

  @Test("what a long read keeps is said, and removed when the same is done again")
  func longRead() async throws {
    let log = try open()
    try await log.create([TopicConfiguration(name: "t")])
    _ = try await log.append([record("erased qzx")])
    var configuration = Configuration()
    configuration.allowsUnsafeTransactions = true
    let backup = try DatabaseQueue(path: path, configuration: configuration)
    try await backup.writeWithoutTransaction { db in
      try db.execute(sql: "BEGIN")
      #expect(try Int.fetchOne(db, sql: "SELECT count(*) FROM batch") == 1)
    }
    let error = await #expect(throws: MessageLogError.self) { _ = try await log.erase([Self.place: [0]]) }
    #expect(error?.code == .unavailable && error?.isRetriable == true)
    #expect(error?.description.contains("the records are removed") == true && filesHold("erased qzx"))
    try await backup.writeWithoutTransaction { try $0.execute(sql: "COMMIT") }
    #expect(try await log.erase([Self.place: [0]]) == 0)
    #expect(!filesHold("erased qzx"))
    try backup.close()
    try await log.close()
  }

  @Test("those of records past their time too, also after something was erased")
  func retention() async throws {
    let log = try open()
    try await log.create([
      TopicConfiguration(name: "t"),
      TopicConfiguration(name: "old", cleanup: [.delete], retentionMilliseconds: 1_000),
    ])
    _ = try await log.append([record("kept qzx"), record("erased qzx"), record("expired qzx", topic: "old")])
    #expect(try await log.erase([Self.place: [1]]) == 1)
    #expect(try await log.maintain().expiredRecords == 1)
    try await log.close()
    #expect(filesHold("kept qzx") && !filesHold("erased qzx") && !filesHold("expired qzx"))
  }
}
