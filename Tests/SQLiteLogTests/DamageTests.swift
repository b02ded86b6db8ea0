import Foundation
import GRDB
import MessageLog
import SQLiteLog
import Testing

@Suite("Damage, full disks and wrong files give clear errors")
struct DamageTests {
  let folder: TemporaryFolder
  var path: String { folder.file("log.db") }
  static let place = TopicPartition(topic: "t", partition: 0)

  init() throws { folder = try TemporaryFolder() }

  /// A log of 400 records of 1 KB, all in the main file.
  private func makeLog() async throws {
    let log = try SQLiteLog(path: path)
    try await log.create([TopicConfiguration(name: "t")])
    for block in 0..<20 {
      let value = (0..<1024).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ block) }
      _ = try await log.append((0..<20).map { _ in NewRecord(topic: "t", key: nil, value: value) })
    }
    try await log.close()
  }

  private func failure(_ work: () async throws -> Void) async -> MessageLogError? {
    do {
      try await work()
      return nil
    } catch let error as MessageLogError {
      return error
    } catch {
      Issue.record("not the log's error: \(error)")
      return nil
    }
  }

  private func readAll(_ path: String) async throws -> Int {
    let log = try SQLiteLog(path: path)
    do {
      let count = try await log.verify()
      let reader = try await log.reader(of: [Self.place: .earliest], options: ReaderOptions())
      var read = 0
      while true {
        let records = try await reader.next(maximum: 1000, timeout: .zero)
        if records.isEmpty { break }
        read += records.count
      }
      #expect(read == count)
      try await log.close()
      return count
    } catch {
      try? await log.close()
      throw error
    }
  }

  @Test("a bit flip anywhere is found or harmless, and never a crash")
  func bitFlips() async throws {
    try await makeLog()
    let whole = try Data(contentsOf: URL(fileURLWithPath: path))
    var found = 0
    var state: UInt64 = 42
    for turn in 0..<60 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      var bytes = whole
      bytes[Int(state >> 33) % bytes.count] ^= 1 << UInt8(state & 7)
      let flipped = folder.file("flipped-\(turn).db")
      try bytes.write(to: URL(fileURLWithPath: flipped))
      var count = 400
      let error = await failure { count = try await readAll(flipped) }
      #expect(count == 400)
      if let error {
        found += 1
        #expect(!error.advice.isEmpty)
      }
    }
    // Two thirds of the file are record data, where every flip must be found; the rest is mostly unused space.
    #expect(found >= 36 && whole.count > 400 * 1024)
  }

  @Test("a truncated log is an error at any length")
  func truncation() async throws {
    try await makeLog()
    let whole = try Data(contentsOf: URL(fileURLWithPath: path))
    for share in [0.001, 0.1, 0.3, 0.5, 0.8, 0.95] {
      let cut = folder.file("cut-\(share).db")
      try whole.prefix(Int(Double(whole.count) * share)).write(to: URL(fileURLWithPath: cut))
      let error = await failure { _ = try await readAll(cut) }
      #expect(error?.code == .corrupt, "\(share): \(String(describing: error))")
    }
  }

  @Test("a damaged batch is named, and reading can go on behind it")
  func seekBehindDamage() async throws {
    try await makeLog()
    try await DatabaseQueue(path: path).write { db in
      try db.execute(sql: "UPDATE batch SET max_time = max_time + 1 WHERE base = 100")
    }
    let log = try SQLiteLog(path: path)
    let reader = try await log.reader(of: [Self.place: .offset(90)], options: ReaderOptions())
    var read: [Int64] = []
    let error = await failure {
      while true { read += try await reader.next(maximum: 64, timeout: .zero).map(\.offset) }
    }
    #expect(read == Array(90..<100))
    #expect(error?.code == .corrupt && error?.offset == 100 && error?.topic == "t")
    try await reader.seek(Self.place, to: .offset(120))
    #expect(try await reader.next(maximum: 1, timeout: .zero).map(\.offset) == [120])
    #expect(await failure { _ = try await log.verify() }?.code == .corrupt)
    try await log.close()
  }

  @Test("commits that vanished with the write-ahead log are noticed")
  func lostCommits() async throws {
    let log = try SQLiteLog(path: path)
    try await log.create([TopicConfiguration(name: "t")])
    let copy = folder.file("copy.db")
    try FileManager.default.copyItem(atPath: path, toPath: copy)
    try FileManager.default.copyItem(atPath: path + "-wal", toPath: copy + "-wal")
    _ = try await log.append([NewRecord(topic: "t", key: nil, value: [1])])
    try FileManager.default.copyItem(atPath: path + "-notify", toPath: copy + "-notify")
    let error = await failure { _ = try SQLiteLog(path: copy) }
    #expect(error?.code == .corrupt && error?.advice.contains("-notify") == true)
    try FileManager.default.removeItem(atPath: copy + "-notify")
    let older = try SQLiteLog(path: copy)
    #expect(try await older.watermarks(of: Self.place).high == 0)
    try await older.close()
    try await log.close()
  }

  @Test("a copy taken in the middle of writing holds everything acknowledged before it")
  func crashCopies() async throws {
    let log = try SQLiteLog(path: path)
    try await log.create([TopicConfiguration(name: "t")])
    for round in 1...20 {
      _ = try await log.append((0..<50).map { NewRecord(topic: "t", key: nil, value: [UInt8($0)]) })
      let copy = folder.file("crash-\(round).db")
      try FileManager.default.copyItem(atPath: path, toPath: copy)
      try FileManager.default.copyItem(atPath: path + "-wal", toPath: copy + "-wal")
      let survivor = try SQLiteLog(path: copy)
      #expect(try await survivor.verify() == round * 50)
      #expect(try await survivor.append([NewRecord(topic: "t", key: nil, value: [])])[0].offset == Int64(round * 50))
      try await survivor.close()
    }
    try await log.close()
  }

  @Test("a write-ahead log cut anywhere leaves whole appends")
  func tornWriteAheadLog() async throws {
    let log = try SQLiteLog(path: path)
    try await log.create([TopicConfiguration(name: "t")])
    for _ in 0..<10 { _ = try await log.append((0..<7).map { NewRecord(topic: "t", key: nil, value: [UInt8($0)]) }) }
    let main = try Data(contentsOf: URL(fileURLWithPath: path))
    let tail = try Data(contentsOf: URL(fileURLWithPath: path + "-wal"))
    try await log.close()
    for share in stride(from: 0.3, through: 1.0, by: 0.1) {
      let copy = folder.file("torn-\(share).db")
      try main.write(to: URL(fileURLWithPath: copy))
      try tail.prefix(Int(Double(tail.count) * share)).write(to: URL(fileURLWithPath: copy + "-wal"))
      let survivor = try SQLiteLog(path: copy)
      #expect(try await survivor.verify() % 7 == 0)
      try await survivor.close()
    }
  }

  @Test("a full disk refuses the append and keeps everything else")
  func fullDisk() async throws {
    let log = try SQLiteLog(path: path, options: .init(maximumBytes: 1 << 20))
    try await log.create([TopicConfiguration(name: "t")])
    let batch = (0..<50).map { _ in NewRecord(topic: "t", key: nil, value: [UInt8](repeating: 7, count: 1024)) }
    var appended: Int64 = 0
    let error = await failure {
      while appended < 10_000 {
        _ = try await log.append(batch)
        appended += 50
      }
    }
    #expect(error?.code == .full && error?.isRetriable == true && error?.isFatal == false)
    #expect(appended >= 500)
    #expect(try await log.watermarks(of: Self.place).high == appended)
    #expect(try await log.verify() == Int(appended))
    try await log.close()
    let larger = try SQLiteLog(path: path)
    #expect(try await larger.append(batch)[0].offset == appended)
    try await larger.close()
  }

  @Test("what is not a log is refused and left alone")
  func wrongFiles() async throws {
    try Data("this is not a database, just a text of some length".utf8).write(to: URL(fileURLWithPath: path))
    #expect(await failure { _ = try SQLiteLog(path: path) }?.code == .corrupt)
    let other = folder.file("other.db")
    try await DatabaseQueue(path: other).write { try $0.execute(sql: "CREATE TABLE a (b)") }
    let error = await failure { _ = try SQLiteLog(path: other) }
    #expect(error?.code == .invalid && error?.description.contains("something else") == true)
    try await makeNewerLog()
    #expect(await failure { _ = try SQLiteLog(path: folder.file("newer.db")) }?.code == .invalid)
    #expect(await failure { _ = try SQLiteLog(path: folder.file("none/log.db")) }?.code == .invalid)
    #expect(await failure { _ = try SQLiteLog(path: folder.path) }?.code == .invalid)
  }

  private func makeNewerLog() async throws {
    let newer = folder.file("newer.db")
    try await SQLiteLog(path: newer).close()
    try await DatabaseQueue(path: newer).write { try $0.execute(sql: "PRAGMA user_version = 99") }
  }

  // The super-user may write everywhere.
  @Test("a read-only folder is named as such", .enabled(if: getuid() != 0))
  func readOnly() async throws {
    try await makeLog()
    try FileManager.default.setAttributes([.posixPermissions: 0o555], ofItemAtPath: folder.path)
    try FileManager.default.setAttributes([.posixPermissions: 0o444], ofItemAtPath: path)
    let old = await failure { _ = try SQLiteLog(path: path) }
    let new = await failure { _ = try SQLiteLog(path: folder.file("new.db")) }
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder.path)
    #expect(old?.code == .readOnly)
    #expect(new?.code == .readOnly)
  }
}
