import Foundation
import GRDB
import Synchronization
import Teacher
import Testing
import Topics

@Suite("The answer cache")
struct CacheTests {
  @Test("A cached answer survives a restart; a failure is never cached; a refused label is asked anew")
  func cache() async throws {
    let folder = try Fixtures.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appendingPathComponent("answers.db").path
    let refuses = Atomic(false)
    try await ScriptedServer.run { seen in
      seen.said == "bad" ? .calls(("nothing", "{}")) : .calls(Fixtures.light)
    } body: { address, server in
      let task = try Fixtures.task {
        $0.verifier = .inProcess(name: "switch") { _, _ in
          VerifierVerdict(accepted: !refuses.load(ordering: .relaxed))
        }
      }
      func label(_ text: String, _ change: (inout TeacherConfiguration) -> Void = { _ in }) async throws -> LabelOutcome
      {
        let configuration = Fixtures.configuration(address) {
          $0.cachePath = path
          change(&$0)
        }
        return try await Fixtures.label(Fixtures.request(text), task: task, configuration: configuration)
      }
      #expect(try await label("good").accepted?.attempts == 1)
      let again = try await label("good").accepted
      #expect(again?.attempts == 0)
      #expect(again?.usage == TokenUsage(promptTokens: 0, completionTokens: 0, calls: 0))
      #expect(again?.call == Call(name: "set_light", arguments: ["room": "kitchen", "on": true]))
      #expect(server.seen.count == 1)
      _ = try await label("good") { $0.temperature = 1 }
      #expect(server.seen.count == 2)
      _ = try await label("good") { $0.endpoint = address + "/v1" }
      #expect(server.seen.count == 2)
      _ = try await label("good") { $0.endpoint = address + "/other/v1" }
      #expect(server.seen.count == 3)
      _ = try await label("bad")
      _ = try await label("bad")
      #expect(server.seen.count == 5)
      _ = try await label("good") { $0.cacheLifetime = .zero }
      #expect(server.seen.count == 6)
      refuses.store(true, ordering: .relaxed)
      #expect(try await label("good").rejection?.code == .verifierRefused)
      refuses.store(false, ordering: .relaxed)
      #expect(try await label("good").accepted?.attempts == 1)
      #expect(server.seen.count == 7)
    }
  }

  @Test(
    "Requests that are the same at the same time are paid for once; where one is refused, the others are asked about")
  func sameAtOnce() async throws {
    let folder = try Fixtures.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    try await ScriptedServer.run { seen in
      seen.said == "bad" ? .calls(("nothing", "{}")) : .calls(Fixtures.light)
    } body: { address, server in
      let teacher = try Teacher(
        task: try Fixtures.task { $0.votes = VotePolicy(samples: 3, agreement: 0.6) },
        configuration: Fixtures.configuration(address) {
          $0.cachePath = folder.appendingPathComponent("answers.db").path
        }, logger: Fixtures.quiet)
      let outcomes = try await withThrowingTaskGroup(of: LabelOutcome.self) { group in
        for index in 0..<10 { group.addTask { try await teacher.label(Fixtures.request("good", id: "\(index)")) } }
        for index in 10..<13 { group.addTask { try await teacher.label(Fixtures.request("bad", id: "\(index)")) } }
        return try await group.reduce(into: [LabelOutcome]()) { $0.append($1) }
      }
      #expect(outcomes.count { $0.accepted != nil } == 10)
      #expect(outcomes.count { $0.accepted?.attempts == 3 } == 1)
      #expect(outcomes.count { $0.rejection != nil } == 3)
      #expect(server.seen.count { $0.said == "good" } == 3)
      #expect(server.seen.count { $0.said == "bad" } == 9)
      await teacher.shutdown()
    }
  }

  @Test("Answers that are older than the cache's lifetime leave its file")
  func expiredAnswers() async throws {
    let folder = try Fixtures.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appendingPathComponent("answers.db").path
    let virtual = VirtualClock()
    try await ScriptedServer.run { _ in
      .calls(Fixtures.light)
    } body: { address, _ in
      for index in 0..<20 {
        if index == 10 { try await virtual.clock.sleep(.seconds(2 * 86_400)) }
        _ = try await Fixtures.label(
          Fixtures.request("number \(index)"), task: try Fixtures.task(),
          configuration: Fixtures.configuration(address) { $0.cachePath = path }, clock: virtual.clock)
      }
    }
    let queue = try DatabaseQueue(path: path)
    #expect(try await queue.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM answers") } == 10)
    try queue.close()
  }

  @Test("What is forgotten stands nowhere any more, also while another process uses the cache")
  func forgetting() async throws {
    let folder = try Fixtures.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appendingPathComponent("answers.db").path
    let running = try AnswerCache(path: path)
    defer { running.close() }
    let messages = [ChatMessage.user("Play Zaubertrank")]
    let exchange = Exchange(
      call: Call(name: "play", arguments: ["artist": "Zaubertrank"]), usage: .none, cost: 0, trace: [],
      topLogprobs: nil, raw: "")
    // Removed, and replaced, and still there.
    for key in ["one", "one", "two"] {
      try await running.store(
        exchange, for: .sha256(key), request: AnswerCache.request(messages), at: 1, forgettingBefore: 0)
    }
    try await running.remove(.sha256("one"))
    #expect(try TeacherCache.forget([messages], path: path) == 1)
    for name in ["", "-wal"] {
      let bytes = (try? Data(contentsOf: URL(fileURLWithPath: path + name))) ?? Data()
      #expect(bytes.range(of: Data("Zaubertrank".utf8)) == nil, "\(name)")
    }
    #expect(try TeacherCache.forget([messages], path: path) == 0)
  }

  @Test("A file that is no cache is refused at the start")
  func foreignCache() throws {
    let folder = try Fixtures.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appendingPathComponent("text.db")
    try Data("this is not a database, it is a long text about something else".utf8).write(to: path)
    #expect(throws: TeacherError.self) { try AnswerCache(path: path.path) }
  }
}
