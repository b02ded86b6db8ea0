import Foundation
import Synchronization
import Teacher
import Testing
import Topics

@Suite("Outages, refusals, budgets, cancellation")
struct OutageTests {
  @Test("Failures are retried with the attempt's number, and Retry-After is honoured")
  func retries() async throws {
    let virtual = VirtualClock()
    try await ScriptedServer.run { seen in
      switch seen.number {
      case 0: Reply(500, ["error": ["message": "oops"]])
      case 1: Reply(429, ["error": "slow down"], headers: ["retry-after": "7"])
      case 2: Reply(503, "", headers: ["retry-after": "Tue, 14 Nov 2023 22:15:20 GMT"])
      default: .calls(Fixtures.light)
      }
    } body: { address, server in
      let outcome = try await Fixtures.label(
        Fixtures.request(), task: try Fixtures.task(), configuration: Fixtures.configuration(address),
        clock: virtual.clock)
      #expect(outcome.accepted?.attempts == 4)
      #expect(server.seen.map(\.retryCount) == ["0", "1", "2", "3"])
      // 1,700,000,000 is 22:13:20; seven seconds and a millisecond of back-off later, the date is 112.999 s away.
      #expect(virtual.sleeps == [.milliseconds(1), .seconds(7), .milliseconds(112_999)])
    }
  }

  @Test("An outage pauses labelling, says so, loses nothing, and ends by itself")
  func outage() async throws {
    let isDown = Atomic(true)
    try await ScriptedServer.run { seen in
      isDown.load(ordering: .relaxed) ? Reply(502, ["error": ["message": "down"]]) : .calls(Fixtures.light)
    } body: { address, server in
      let teacher = try Teacher(
        task: try Fixtures.task(), configuration: Fixtures.configuration(address), logger: Fixtures.quiet)
      async let outcomes = withThrowingTaskGroup(of: LabelOutcome.self) { group in
        for index in 0..<20 { group.addTask { try await teacher.label(Fixtures.request(id: "\(index)")) } }
        return try await group.reduce(into: [LabelOutcome]()) { $0.append($1) }
      }
      let paused = try await teacher.pause()
      guard case .paused(.outage, let message, _) = paused else {
        Issue.record("no pause: \(paused)")
        return
      }
      #expect(message.contains("502"))
      let sent = server.seen.count
      try await Task.sleep(for: .milliseconds(100))
      // With the breaker open only probes pass: about one in 20 ms here.
      #expect(server.seen.count - sent < 30)
      isDown.store(false, ordering: .relaxed)
      let all = try await outcomes
      #expect(all.count == 20)
      #expect(all.allSatisfy { $0.accepted != nil })
      #expect(await teacher.state == .running)
      await teacher.shutdown()
    }
  }

  @Test("An endpoint that cannot be reached is an outage, and cancelling the task ends the wait")
  func unreachable() async throws {
    let teacher = try Teacher(
      task: try Fixtures.task(), configuration: Fixtures.configuration("http://127.0.0.1:1"), logger: Fixtures.quiet)
    let task = Task { try await teacher.label(Fixtures.request()) }
    guard case .paused(.outage, _, _) = try await teacher.pause() else {
      Issue.record("not paused")
      return
    }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    let second = Task { try await teacher.label(Fixtures.request()) }
    try await Task.sleep(for: .milliseconds(50))
    await teacher.shutdown()
    await #expect(throws: CancellationError.self) { try await second.value }
    #expect(teacher.metrics.rejectedTotal == 0)
  }

  @Test("A call without an answer in time is tried again")
  func timeouts() async throws {
    try await ScriptedServer.run { seen in
      .calls(Fixtures.light, delay: seen.number == 0 ? .seconds(8) : .zero)
    } body: { address, server in
      // Long enough for an answer that is not delayed, on a busy machine too.
      let outcome = try await Fixtures.label(
        Fixtures.request(), task: try Fixtures.task(),
        configuration: Fixtures.configuration(address) { $0.callTimeout = .seconds(3) })
      #expect(outcome.accepted?.attempts == 2)
    }
  }

  @Test("A call that begins near the end of an exchange's time has a call's time, and is not taken for an outage")
  func lastCall() async throws {
    try await ScriptedServer.run { seen in
      if seen.said == "Hello." { return .calls(Fixtures.light) }
      return seen.results.isEmpty
        ? .calls(("find", #"{"room":"kitchen"}"#), delay: .seconds(2)) : .calls(Fixtures.light, delay: .seconds(2))
    } body: { address, server in
      let outcome = try await Fixtures.label(
        Fixtures.request(), task: try Fixtures.task { $0.lookups = [try Fixtures.lookup("find", .command(["cat"]))] },
        configuration: Fixtures.configuration(address) { $0.totalTimeout = .seconds(3) })
      #expect(outcome.accepted != nil)
    }
  }

  @Test("A wrong key or path pauses everything and rejects nothing; the key is never shown")
  func configurationErrors() async throws {
    let key = "sk-very-secret-1234567890"
    for status in [401, 403, 404] {
      let isWrong = Atomic(true)
      try await ScriptedServer.run { seen in
        isWrong.load(ordering: .relaxed)
          ? Reply(status, ["error": ["message": .string("Incorrect API key provided: \(key)")]])
          : .calls(Fixtures.light)
      } body: { address, _ in
        let teacher = try Teacher(
          task: try Fixtures.task(), configuration: Fixtures.configuration(address) { $0.apiKey = key },
          logger: Fixtures.quiet)
        let task = Task { try await teacher.label(Fixtures.request()) }
        guard case .paused(.configuration, let message, _) = try await teacher.pause() else {
          Issue.record("not paused at \(status)")
          return
        }
        #expect(!message.contains("very-secret"))
        isWrong.store(false, ordering: .relaxed)
        #expect(try await task.value.accepted != nil)
        await teacher.shutdown()
      }
    }
  }

  @Test("Status 400 for one record rejects it; status 400 for every request is a configuration error")
  func refusals() async throws {
    let refusesAll = Atomic(true)
    try await ScriptedServer.run { seen in
      if refusesAll.load(ordering: .relaxed) || seen.said == "forbidden" {
        return Reply(400, ["error": ["message": "not this"]])
      }
      return .calls(Fixtures.light)
    } body: { address, _ in
      let teacher = try Teacher(
        task: try Fixtures.task(), configuration: Fixtures.configuration(address), logger: Fixtures.quiet)
      let task = Task { try await teacher.label(Fixtures.request("fine")) }
      guard case .paused(.configuration, _, _) = try await teacher.pause() else {
        Issue.record("not paused")
        return
      }
      refusesAll.store(false, ordering: .relaxed)
      #expect(try await task.value.accepted != nil)
      let refused = try await teacher.label(Fixtures.request("forbidden")).rejection
      #expect(refused?.code == .teacherRefused)
      #expect(refused?.message.contains("not this") == true)
      #expect(teacher.metrics.rejected == [.teacherRefused: 1])
      await teacher.shutdown()
    }
  }

  @Test("An endpoint that refuses every request after it has answered some pauses labelling and rejects nothing")
  func laterRefusals() async throws {
    let refusesAll = Atomic(false)
    try await ScriptedServer.run { _ in
      refusesAll.load(ordering: .relaxed)
        ? Reply(400, ["error": ["message": "Your credit balance is too low"]]) : .calls(Fixtures.light)
    } body: { address, server in
      let teacher = try Teacher(
        task: try Fixtures.task(),
        configuration: Fixtures.configuration(address) { $0.maximumConcurrentRequests = 2 }, logger: Fixtures.quiet)
      #expect(try await teacher.label(Fixtures.request("first")).accepted != nil)
      refusesAll.store(true, ordering: .relaxed)
      async let outcomes = withThrowingTaskGroup(of: LabelOutcome.self) { group in
        for index in 0..<100 { group.addTask { try await teacher.label(Fixtures.request("number \(index)")) } }
        return try await group.reduce(into: [LabelOutcome]()) { $0.append($1) }
      }
      guard case .paused(.configuration, let message, _) = try await teacher.pause() else {
        Issue.record("not paused")
        return
      }
      #expect(message.contains("credit"))
      // The harmless request was not sent behind all those who waited.
      let sent = server.seen.count
      #expect(sent < 60)
      while server.seen.count < sent + 20 { try await Task.sleep(for: .milliseconds(5)) }
      #expect(teacher.metrics.rejectedTotal == 0)
      refusesAll.store(false, ordering: .relaxed)
      #expect(try await outcomes.allSatisfy { $0.accepted != nil })
      await teacher.shutdown()
    }
  }

  @Test(
    "A record that alone is refused like a wrong key or path, or told to wait again and again, is rejected at last",
    arguments: [(302, 3), (401, 3), (403, 3), (404, 3), (429, 14)])
  func refusedAlone(status: Int, failures: Int) async throws {
    let key = "sk-very-secret-1234567890"
    try await ScriptedServer.run { seen in
      seen.said == "poison"
        ? Reply(status, ["error": ["message": .string("not this, \(key)")]]) : .calls(Fixtures.light)
    } body: { address, server in
      let teacher = try Teacher(
        task: try Fixtures.task(), configuration: Fixtures.configuration(address) { $0.apiKey = key },
        logger: Fixtures.quiet)
      let rejection = try await teacher.label(Fixtures.request("poison")).rejection
      #expect(rejection?.code == (status == 429 ? .teacherFailed : .teacherRefused))
      #expect(rejection?.message.contains("status \(status)") == true)
      #expect(rejection?.message.contains("very-secret") == false)
      #expect(rejection?.rawAnswer?.contains("very-secret") != true)
      // The endpoint has answered the harmless request three times, each after a failure of the record.
      #expect(server.seen.map(\.said).suffix(6) == ["poison", "Hello.", "poison", "Hello.", "poison", "Hello."])
      #expect(server.seen.count { $0.said == "poison" } == failures)
      #expect(server.seen.count { $0.said == "Hello." } == 3)
      #expect(try await teacher.label(Fixtures.request("fine")).accepted != nil)
      await teacher.shutdown()
    }
  }

  @Test("A record on which the endpoint always fails is rejected while the others go on")
  func poison() async throws {
    try await ScriptedServer.run { seen in
      seen.said == "poison" ? Reply(500, ["error": "crash"]) : .calls(Fixtures.light)
    } body: { address, server in
      let teacher = try Teacher(
        task: try Fixtures.task(), configuration: Fixtures.configuration(address), logger: Fixtures.quiet)
      let rejection = try await teacher.label(Fixtures.request("poison")).rejection
      #expect(rejection?.code == .teacherFailed)
      // Three failures, then harmless requests that show that the endpoint is up.
      #expect(server.seen.map(\.said) == ["poison", "poison", "poison", "Hello.", "poison", "Hello."])
      #expect(server.seen.allSatisfy { $0.messages.map { $0["role"] } == ["system", "user"] })
      #expect(try await teacher.label(Fixtures.request("fine")).accepted != nil)
      await teacher.shutdown()
    }
  }

  @Test("A spent budget pauses until the hour has passed, also after a restart")
  func budget() async throws {
    let folder = try Fixtures.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let virtual = VirtualClock()
    try await ScriptedServer.run { _ in
      .calls(Fixtures.light)
    } body: { address, server in
      let configuration = Fixtures.configuration(address) {
        $0.budget = BudgetPolicy(tokensPerHour: 200)
        $0.cachePath = folder.appendingPathComponent("answers.db").path
      }
      let teacher = try Teacher(
        task: try Fixtures.task(), configuration: configuration, clock: virtual.clock, logger: Fixtures.quiet)
      // 110 tokens each: two fit into the hour.
      for index in 0..<2 { _ = try await teacher.label(Fixtures.request("number \(index)")) }
      #expect(virtual.now == .zero)
      _ = try await teacher.label(Fixtures.request("number 2"))
      #expect(virtual.now >= .seconds(3_600))
      #expect(teacher.metrics.accepted == 3)
      await teacher.shutdown()
      let before = virtual.now
      _ = try await Fixtures.label(
        Fixtures.request("number 3"), task: try Fixtures.task(), configuration: configuration, clock: virtual.clock)
      _ = try await Fixtures.label(
        Fixtures.request("number 4"), task: try Fixtures.task(), configuration: configuration, clock: virtual.clock)
      #expect(virtual.now >= before + .seconds(3_599))
      #expect(server.seen.count == 5)
    }
  }

  @Test("What answers of rejected records have cost counts in the budget after a restart")
  func budgetOfRejected() async throws {
    let folder = try Fixtures.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let virtual = VirtualClock()
    try await ScriptedServer.run { _ in
      .calls(Fixtures.light)
    } body: { address, server in
      let configuration = Fixtures.configuration(address) {
        $0.budget = BudgetPolicy(tokensPerHour: 200)
        $0.cachePath = folder.appendingPathComponent("answers.db").path
      }
      let task = try Fixtures.task {
        $0.verifier = .inProcess(name: "no") { _, _ in VerifierVerdict(accepted: false) }
      }
      // 110 tokens each: two fit into the hour.
      for index in 0..<3 {
        let outcome = try await Fixtures.label(
          Fixtures.request("number \(index)"), task: task, configuration: configuration, clock: virtual.clock)
        #expect(outcome.rejection?.code == .verifierRefused)
        #expect((virtual.now >= .seconds(3_599)) == (index == 2))
      }
      #expect(server.seen.count == 3)
    }
  }

  @Test("A budget that one call spends lets in one call an hour, however many wait, and from the first hour on")
  func smallBudget() async throws {
    let virtual = VirtualClock()
    try await ScriptedServer.run { _ in
      .calls(Fixtures.light)
    } body: { address, server in
      let teacher = try Teacher(
        task: try Fixtures.task(),
        configuration: Fixtures.configuration(address) { $0.budget = BudgetPolicy(tokensPerHour: 50) },
        clock: virtual.clock, logger: Fixtures.quiet)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for index in 0..<6 { group.addTask { _ = try await teacher.label(Fixtures.request("number \(index)")) } }
        try await group.waitForAll()
      }
      #expect(server.seen.count == 6)
      #expect(server.mostInFlight == 1)
      #expect(virtual.now >= .seconds(5 * 3_600))
      await teacher.shutdown()
    }
  }

  @Test("Who waits at a gate is let in in the order of arrival; who was cancelled is passed over")
  func order() async throws {
    let gate = EndpointGate(
      name: "test", maximumConcurrent: 1, breaker: BreakerPolicy(), budget: nil, clock: .system, logger: Fixtures.quiet)
    try await gate.enter()
    let entered = Numbers()
    var tasks: [Task<Void, any Error>] = []
    for index in 0..<20 {
      tasks.append(
        Task {
          try await gate.enter()
          entered.append(index)
          await gate.leave(.abandoned)
        })
      while await gate.waiters <= index { await Task.yield() }
    }
    let cancelled = tasks.remove(at: 7)
    cancelled.cancel()
    await #expect(throws: CancellationError.self) { try await cancelled.value }
    await gate.leave(.abandoned)
    for task in tasks { try await task.value }
    #expect(entered.all == Array(0..<20).filter { $0 != 7 })
    // Nobody is left, and closing ends those who wait.
    try await gate.enter()
    let last = Task { try await gate.enter() }
    while await gate.waiters == 0 { await Task.yield() }
    await gate.close()
    await #expect(throws: CancellationError.self) { try await last.value }
  }

  @Test("No more requests are in flight than allowed")
  func concurrency() async throws {
    try await ScriptedServer.run { _ in
      .calls(Fixtures.light, delay: .milliseconds(10))
    } body: { address, server in
      let teacher = try Teacher(
        task: try Fixtures.task(),
        configuration: Fixtures.configuration(address) { $0.maximumConcurrentRequests = 3 }, logger: Fixtures.quiet)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for index in 0..<24 { group.addTask { _ = try await teacher.label(Fixtures.request("number \(index)")) } }
        try await group.waitForAll()
      }
      #expect(server.seen.count == 24)
      #expect(server.mostInFlight <= 3)
      #expect(server.mostInFlight >= 2)
      await teacher.shutdown()
    }
  }
}

/// Numbers in the order in which they came.
private final class Numbers: Sendable {
  private let list = Mutex<[Int]>([])

  var all: [Int] { list.withLock { $0 } }

  func append(_ number: Int) { list.withLock { $0.append(number) } }
}
