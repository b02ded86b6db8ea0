import Foundation
import GRDB
import Synchronization
import Teacher
import Testing
import Topics

@Suite("Lookup bindings")
struct LookupTests {
  @Test("A program gets its input, gives its output, and sees no secrets")
  func command() async {
    let echo = BoundedProcess(arguments: ["cat"], timeout: .seconds(10))
    let big = [UInt8](repeating: 65, count: 300_000)
    #expect(await echo.run(input: big) == .exited(status: 0, output: big, errors: ""))
    setenv("RETORT_TEACHER_API_KEY", "sk-secret", 1)
    guard
      case .exited(0, let output, _) = await BoundedProcess(arguments: ["env"], timeout: .seconds(10)).run(input: [])
    else {
      Issue.record("env did not run")
      return
    }
    #expect(!String(decoding: output, as: UTF8.self).contains("sk-secret"))
  }

  @Test("Arguments never meet a shell")
  func noShell() async {
    let process = BoundedProcess(arguments: ["printf", "%s", "$(id); `id` && x"], timeout: .seconds(10))
    #expect(await process.run(input: []) == .exited(status: 0, output: Array("$(id); `id` && x".utf8), errors: ""))
  }

  @Test("A program that ignores its input, fails, or does not exist is reported as such")
  func endings() async {
    let ignored = BoundedProcess(arguments: ["true"], timeout: .seconds(10))
    #expect(
      await ignored.run(input: [UInt8](repeating: 0, count: 1 << 20)) == .exited(status: 0, output: [], errors: ""))
    let failed = BoundedProcess(arguments: ["sh", "-c", "echo why >&2; exit 3"], timeout: .seconds(10))
    #expect(await failed.run(input: []) == .exited(status: 3, output: [], errors: "why\n"))
    let missing = BoundedProcess(arguments: ["/no/such/program"], timeout: .seconds(10))
    #expect(await missing.run(input: []) == .notStarted("no program /no/such/program"))
    let killed = BoundedProcess(arguments: ["sh", "-c", "kill -9 $$"], timeout: .seconds(10))
    #expect(await killed.run(input: []) == .signalled(9, errors: ""))
  }

  @Test("Time, output, and cancellation end a program with its whole process group")
  func bounds() async throws {
    let folder = try Fixtures.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let mark = folder.appendingPathComponent("alive").path
    // The grandchild would make the file after the parent's time is up.
    let script = "(sleep 0.6; touch '\(mark)') & sleep 30"
    let started = ContinuousClock.now
    #expect(
      await BoundedProcess(arguments: ["sh", "-c", script], timeout: .milliseconds(100)).run(input: []) == .timedOut)
    let endless = BoundedProcess(arguments: ["cat", "/dev/zero"], timeout: .seconds(20), maximumOutputBytes: 100_000)
    #expect(await endless.run(input: []) == .outputTooLarge)
    let task = Task { await BoundedProcess(arguments: ["sleep", "30"], timeout: .seconds(30)).run(input: []) }
    try await Task.sleep(for: .milliseconds(50))
    task.cancel()
    #expect(await task.value == .cancelled)
    try await Task.sleep(for: .milliseconds(800))
    #expect(!FileManager.default.fileExists(atPath: mark))
    #expect(ContinuousClock.now - started < .seconds(120))
  }

  @Test("Many programs at once wait for each other outside of their time")
  func manyPrograms() async {
    let processors = Processors.count
    let nap = BoundedProcess(arguments: ["sleep", "0.4"], timeout: .seconds(10))
    let began = ContinuousClock.now
    let results = await withTaskGroup(of: BoundedProcess.Result.self) { group in
      for _ in 0..<(12 * processors) { group.addTask { await nap.run(input: []) } }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(results.count == 12 * processors)
    #expect(results.allSatisfy { $0 == .exited(status: 0, output: [], errors: "") })
    // Four a processor: at least three rounds.
    #expect(ContinuousClock.now - began >= .seconds(1.2))
  }

  private func database(_ folder: URL) throws -> String {
    let path = folder.appendingPathComponent("home.db").path
    let queue = try DatabaseQueue(path: path)
    try queue.write { db in
      try db.execute(
        sql: """
          CREATE TABLE device (room TEXT, name TEXT, watts REAL, count INTEGER, image BLOB);
          INSERT INTO device VALUES ('kitchen','lamp',4.5,2,NULL), ('kitchen','oven',2000,1,x'0102'), ('attic','lamp',4,1,NULL);
          """)
    }
    try queue.close()
    return path
  }

  private func sql(
    _ path: String, _ query: String, rows: Int = 10, timeout: Duration = .seconds(5), bytes: Int = 1 << 20
  ) throws -> SQLLookup {
    try SQLLookup(
      function: try Fixtures.lookup("find", .command(["cat"])).definition, databasePath: path, query: query,
      maximumRows: rows, timeout: timeout, maximumBytes: bytes)
  }

  @Test("A query gets bound parameters, bounded rows, and bounded bytes")
  func queries() async throws {
    let folder = try Fixtures.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = try database(folder)
    let find = try sql(path, "SELECT name, watts, count, image FROM device WHERE room = :room ORDER BY name")
    guard case .rows(let text) = await find.run(["room": "kitchen"]) else {
      Issue.record("no rows")
      return
    }
    #expect(
      try JSON.parse(text) == [
        ["name": "lamp", "watts": 4.5, "count": 2, "image": nil],
        ["name": "oven", "watts": 2_000, "count": 1, "image": "2 bytes"],
      ])
    guard case .rows("[]") = await find.run(["room": "' OR 1=1 --"]), case .rows("[]") = await find.run([:]) else {
      Issue.record("a parameter was no parameter")
      return
    }
    guard case .rows(let one) = await (try sql(path, "SELECT name FROM device ORDER BY name", rows: 1)).run([:]) else {
      Issue.record("no row")
      return
    }
    #expect(one == #"[{"name":"lamp"}]"#)
    guard case .tooLarge = await (try sql(path, "SELECT hex(zeroblob(5000)) AS z", bytes: 1_000)).run([:]) else {
      Issue.record("too large was accepted")
      return
    }
  }

  @Test("A query that writes, does not compile, or wants an unknown parameter is refused at the start")
  func wrongQueries() throws {
    let folder = try Fixtures.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = try database(folder)
    for query in [
      "DELETE FROM device", "SELECT * FROM nowhere", "SELECT 1; SELECT 2", "SELECT :other", "",
      "INSERT INTO device (room) VALUES (:room) RETURNING room",
      "SELECT name FROM device WHERE room = ?", "SELECT name FROM device WHERE room = @room",
      "SELECT name FROM device WHERE room = $room", "SELECT :room, ?2",
    ] {
      #expect(throws: TeacherError.self, "\(query)") { try sql(path, query) }
    }
    #expect(throws: TeacherError.self) { try sql(path + ".missing", "SELECT 1") }
    #expect(
      SQLLookup.parameterNames(in: "SELECT ':a', \":b\", x AS [:c] -- :d\n/* :e */ WHERE y = :room AND z=:room_2") == [
        "room", "room_2",
      ])
  }

  @Test("An endless query is interrupted, and the next one works")
  func endlessQuery() async throws {
    let folder = try Fixtures.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = try database(folder)
    let endless = try sql(
      path, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
      timeout: .milliseconds(100))
    let started = ContinuousClock.now
    guard case .timedOut = await endless.run([:]) else {
      Issue.record("it ended")
      return
    }
    #expect(ContinuousClock.now - started < .seconds(120))
  }

  @Test("Queries wait for each other outside of their time")
  func queriesInTurn() async throws {
    let folder = try Fixtures.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = try database(folder)
    let find = try sql(path, "SELECT name FROM device WHERE room = :room", timeout: .seconds(5))
    var configuration = Configuration()
    configuration.allowsUnsafeTransactions = true
    let other = try DatabaseQueue(path: path, configuration: configuration)
    // While another has the file, the first query uses up its time, and the second one's has not begun.
    try await other.writeWithoutTransaction { try $0.execute(sql: "BEGIN EXCLUSIVE") }
    let found = try await withThrowingTaskGroup(of: Bool.self) { group in
      for _ in 0..<2 {
        group.addTask { if case .rows = await find.run(["room": "attic"]) { true } else { false } }
      }
      var found: [Bool] = []
      for try await isFound in group {
        if found.isEmpty { try await other.writeWithoutTransaction { try $0.execute(sql: "COMMIT") } }
        found.append(isFound)
      }
      return found
    }
    #expect(found == [false, true])
    try other.close()
  }

  @Test("Lookups of all three kinds run in one turn, and their results go back in order")
  func threeKinds() async throws {
    let folder = try Fixtures.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = try database(folder)
    let outcome = try await ScriptedServer.run { seen in
      if seen.path == "/devices" { return Reply(200, ["over": "http", "asked": seen.body["room"] ?? .null]) }
      if seen.path.hasPrefix("/get?") { return Reply(raw: seen.path) }
      if seen.results.isEmpty {
        return .calls(
          ("by_http", #"{"room":"kitchen"}"#), ("by_get", #"{"room":"a b"}"#), ("by_command", #"{"room":"attic"}"#),
          ("by_sql", #"{"room":"attic"}"#), ("by_sql", #"{"wrong":1}"#))
      }
      let expected = [
        #"{"over":"http","asked":"kitchen"}"#, "/get?room=a%20b", #"{"room":"attic"}"#, #"[{"name":"lamp"}]"#,
      ]
      let ordered =
        Array(seen.results.prefix(4)) == expected && seen.results.last?.contains("invalid arguments") == true
      return ordered ? .calls(Fixtures.light) : .words("\(seen.results)")
    } body: { address, server in
      let task = try Fixtures.task {
        $0.lookups = [
          try Fixtures.lookup("by_http", .http(url: address + "/devices")),
          try Fixtures.lookup("by_get", .http(url: address + "/get", method: "GET")),
          try Fixtures.lookup("by_command", .command(["cat"])),
          try Fixtures.lookup("by_sql", .sql(databasePath: path, query: "SELECT name FROM device WHERE room = :room")),
        ]
      }
      return try await Fixtures.label(Fixtures.request(), task: task, configuration: Fixtures.configuration(address))
    }
    #expect(outcome.accepted?.call == Call(name: "set_light", arguments: ["room": "kitchen", "on": true]))
    #expect(outcome.accepted?.trace.map(\.role) == [.assistant, .tool, .tool, .tool, .tool, .tool])
    #expect(outcome.accepted?.usage == TokenUsage(promptTokens: 200, completionTokens: 20, calls: 2))
  }

  @Test("A lookup that fails on the teacher's arguments rejects the record")
  func failingLookups() async throws {
    try await ScriptedServer.run { seen in
      if seen.path == "/missing" { return Reply(404, "no such room") }
      return .calls(("find", #"{"room":"kitchen"}"#))
    } body: { address, server in
      for binding: LookupBinding in [
        .http(url: address + "/missing"), .command(["false"]), .command(["sleep", "10"], timeout: .milliseconds(50)),
      ] {
        let task = try Fixtures.task { $0.lookups = [try Fixtures.lookup("find", binding)] }
        let outcome = try await Fixtures.label(
          Fixtures.request(), task: task, configuration: Fixtures.configuration(address))
        #expect(outcome.rejection?.code == .lookupFailed, "\(binding)")
      }
    }
    #expect(throws: TeacherError.self) {
      let task = try Fixtures.task { $0.lookups = [try Fixtures.lookup("find", .command(["/no/such"]))] }
      _ = try Teacher(task: task, configuration: Fixtures.configuration("http://h"), logger: Fixtures.quiet)
    }
  }
}
