import Foundation
import Synchronization
import Teacher
import Testing
import Topics

@Suite("Outages of lookups and the verifier")
struct ServiceOutageTests {
  /// The teacher looks the request's text up as a room, then answers.
  private static func teach(_ seen: Seen) -> Reply {
    seen.results.isEmpty
      ? .calls(("find", JSON.object(["room": .string(seen.said)]).text)) : .calls(Fixtures.light)
  }

  private static func task(_ address: String, timeout: Duration = .seconds(10)) throws -> TaskDefinition {
    try Fixtures.task {
      $0.lookups = [try Fixtures.lookup("find", .http(url: address + "/find", timeout: timeout))]
      $0.verifier = .http(url: address + "/verify", timeout: timeout)
    }
  }

  private static let approval = Reply(200, ["accepted": true])

  /// Runs `body` with a teacher that has the lookup and the verifier, of a server that answers by a script.
  private func withTeacher(
    timeout: Duration = .seconds(10), _ script: @escaping @Sendable (Seen) async -> Reply,
    body: @Sendable (Teacher, ScriptedServer) async throws -> Void
  ) async throws {
    try await ScriptedServer.run(script) { address, server in
      let teacher = try Teacher(
        task: try Self.task(address, timeout: timeout), configuration: Fixtures.configuration(address),
        logger: Fixtures.quiet)
      try await body(teacher, server)
      await teacher.shutdown()
    }
  }

  /// Labels ten requests while `/find` or `/verify` gives `broken`; checks that all wait, and are labelled afterwards.
  private func expectPause(at path: String, broken: Reply, timeout: Duration, found: String) async throws {
    let isDown = Atomic(true)
    try await withTeacher(timeout: timeout) { seen in
      if seen.path == path, isDown.load(ordering: .relaxed) { return broken }
      if seen.path == "/find" { return Reply(200, ["devices": ["lamp"]]) }
      return seen.path == "/verify" ? Self.approval : Self.teach(seen)
    } body: { teacher, server in
      async let outcomes = withThrowingTaskGroup(of: LabelOutcome.self) { group in
        for index in 0..<10 { group.addTask { try await teacher.label(Fixtures.request("room \(index)")) } }
        return try await group.reduce(into: [LabelOutcome]()) { $0.append($1) }
      }
      guard case .paused(.outage, let message, _) = try await teacher.pause() else {
        Issue.record("no pause while \(path) is away")
        return
      }
      #expect(message.contains(found))
      // More failures than a record is allowed while others succeed, many times over.
      #expect(try await server.sees(13, at: path))
      #expect(teacher.metrics.rejectedTotal == 0)
      isDown.store(false, ordering: .relaxed)
      #expect(try await outcomes.allSatisfy { $0.accepted != nil })
      #expect(await teacher.state == .running)
    }
  }

  @Test("A lookup that answers 5xx for long pauses labelling and rejects nothing", arguments: [500, 502, 504])
  func lookupDown(status: Int) async throws {
    try await expectPause(
      at: "/find", broken: Reply(status, "down"), timeout: .seconds(10), found: "status \(status)")
  }

  @Test("A verifier that answers 5xx for long pauses labelling and rejects nothing")
  func verifierDown() async throws {
    try await expectPause(at: "/verify", broken: Reply(500, "down"), timeout: .seconds(10), found: "status 500")
  }

  @Test("A lookup and a verifier that do not answer in time pause labelling and reject nothing")
  func timeouts() async throws {
    for path in ["/find", "/verify"] {
      try await expectPause(
        at: path, broken: Reply(200, "late", delay: .seconds(2)), timeout: .milliseconds(150), found: "no answer within"
      )
    }
  }

  /// A server on which the room "poison" is never found and the call for "poison" never judged.
  private static func poisoned(_ seen: Seen) -> Reply {
    switch seen.path {
    case "/find": seen.body["room"] == "poison" ? Reply(500, "crash") : Reply(200, ["devices": ["lamp"]])
    case "/verify":
      seen.body["request"]?["messages"]?.text.contains("unjudged") == true ? Reply(500, "crash") : approval
    default: teach(seen)
    }
  }

  @Test("A record on which a lookup or the verifier alone fails is rejected, after the others' questions were answered")
  func poison() async throws {
    try await withTeacher(Self.poisoned) { teacher, server in
      #expect(try await teacher.label(Fixtures.request("kitchen")).accepted != nil)
      let rejection = try await teacher.label(Fixtures.request("poison")).rejection
      #expect(rejection?.code == .lookupFailed)
      #expect(rejection?.message.contains("status 500") == true)
      #expect(
        server.seen.filter { $0.path == "/find" }.map { $0.body["room"]?.stringValue } == [
          "kitchen", "poison", "poison", "poison", "kitchen", "poison", "kitchen",
        ])
      #expect(try await teacher.label(Fixtures.request("unjudged")).rejection?.code == .verifierFailed)
      #expect(try await teacher.label(Fixtures.request("attic")).accepted != nil)
    }
  }

  @Test("A verifier that refuses every question pauses labelling; a record that it alone refuses is rejected")
  func verifierRefuses() async throws {
    let refusesAll = Atomic(true)
    try await withTeacher { seen in
      guard seen.path == "/verify" else { return seen.path == "/find" ? Reply(200, [:]) : Self.teach(seen) }
      let isRefused = seen.body["request"]?["messages"]?.text.contains("unjudged") == true
      return isRefused || refusesAll.load(ordering: .relaxed) ? Reply(403, "no") : Self.approval
    } body: { teacher, server in
      let first = Task { try await teacher.label(Fixtures.request("kitchen")) }
      guard case .paused(.configuration, let message, _) = try await teacher.pause() else {
        Issue.record("not paused")
        return
      }
      #expect(message.contains("status 403"))
      #expect(try await server.sees(10, at: "/verify"))
      refusesAll.store(false, ordering: .relaxed)
      #expect(try await first.value.accepted != nil)
      #expect(try await teacher.label(Fixtures.request("unjudged")).rejection?.code == .verifierFailed)
      #expect(try await teacher.label(Fixtures.request("attic")).accepted != nil)
    }
  }

  @Test("A program that cannot be started is waited for, and rejects nothing", arguments: [true, false])
  func programAway(isVerifier: Bool) async throws {
    let folder = try Fixtures.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let (program, aside) = (folder.appendingPathComponent("program").path, folder.appendingPathComponent("aside").path)
    try Data("#!/bin/sh\ncat >/dev/null\necho '{\"accepted\":true}'\n".utf8).write(to: URL(fileURLWithPath: program))
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
    try await ScriptedServer.run(Self.teach) { address, _ in
      let task = try Fixtures.task {
        $0.lookups = [try Fixtures.lookup("find", .command([isVerifier ? "cat" : program]))]
        if isVerifier { $0.verifier = .command([program]) }
      }
      let teacher = try Teacher(task: task, configuration: Fixtures.configuration(address), logger: Fixtures.quiet)
      #expect(try await teacher.label(Fixtures.request("kitchen")).accepted != nil)
      try FileManager.default.moveItem(atPath: program, toPath: aside)
      let second = Task { try await teacher.label(Fixtures.request("attic")) }
      guard case .paused(.outage, let message, _) = try await teacher.pause() else {
        Issue.record("not paused")
        return
      }
      #expect(message.contains("did not start"))
      #expect(teacher.metrics.rejectedTotal == 0)
      try FileManager.default.moveItem(atPath: aside, toPath: program)
      #expect(try await second.value.accepted != nil)
      await teacher.shutdown()
    }
  }

  @Test(
    "A lookup whose token or session has expired pauses labelling and rejects nothing; redirects are not followed",
    arguments: [401, 302])
  func expiredToken(status: Int) async throws {
    let hasExpired = Atomic(true)
    try await withTeacher { seen in
      if seen.path == "/find" {
        return hasExpired.load(ordering: .relaxed)
          ? Reply(status, "expired", headers: ["location": "/sign-in"]) : Reply(200, [:])
      }
      return seen.path == "/verify" ? Self.approval : Self.teach(seen)
    } body: { teacher, server in
      let first = Task { try await teacher.label(Fixtures.request("kitchen")) }
      guard case .paused(.configuration, let message, _) = try await teacher.pause() else {
        Issue.record("not paused")
        return
      }
      #expect(message.contains("status \(status)"))
      hasExpired.store(false, ordering: .relaxed)
      #expect(try await first.value.accepted != nil)
      #expect(teacher.metrics.rejectedTotal == 0)
      #expect(!server.seen.contains { $0.path == "/sign-in" })
    }
  }

  @Test("A record that fails first waits until others were answered, and is rejected then")
  func poisonFirst() async throws {
    try await withTeacher(Self.poisoned) { teacher, server in
      async let first = teacher.label(Fixtures.request("poison"))
      let isTriedOn = try await server.sees(15, at: "/find")
      #expect(isTriedOn)
      #expect(teacher.metrics.rejectedTotal == 0)
      #expect(try await teacher.label(Fixtures.request("kitchen")).accepted != nil)
      #expect(try await first.rejection?.code == .lookupFailed)
    }
  }

  @Test("After a restart cached exchanges tell which lookups succeed")
  func restart() async throws {
    let folder = try Fixtures.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    try await ScriptedServer.run(Self.poisoned) { address, server in
      let configuration = Fixtures.configuration(address) {
        $0.cachePath = folder.appendingPathComponent("answers.db").path
      }
      let task = try Self.task(address)
      #expect(
        try await Fixtures.label(Fixtures.request("kitchen"), task: task, configuration: configuration).accepted != nil)
      let teacher = try Teacher(task: task, configuration: configuration, logger: Fixtures.quiet)
      #expect(try await teacher.label(Fixtures.request("kitchen")).accepted != nil)
      #expect(teacher.metrics.cacheHits == 1)
      #expect(try await teacher.label(Fixtures.request("poison")).rejection?.code == .lookupFailed)
      await teacher.shutdown()
    }
  }
}
