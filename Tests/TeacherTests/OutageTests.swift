import Foundation
import Synchronization
import Teacher
import Testing
import Topics

@Suite("Outages, refusals, cancellation")
struct OutageTests {
  @Test("Failures are retried with the attempt's number, and Retry-After is honoured as far as the longest back-off")
  func retries() async throws {
    let virtual = VirtualClock()
    try await ScriptedServer.run { seen in
      switch seen.number {
      case 0: Reply(500, ["error": ["message": "oops"]])
      case 1: Reply(429, ["error": "slow down"], headers: ["retry-after": "7"])
      case 2: Reply(503, "", headers: ["retry-after": "Tue, 14 Nov 2023 22:15:20 GMT"])
      case 3: Reply(429, "", headers: ["retry-after": "86400"])
      default: .calls(Fixtures.light)
      }
    } body: { address, server in
      let configuration = Fixtures.configuration(address) {
        $0.retry.cap = .seconds(120)
        $0.retry.attempts = 5
        $0.breaker.failures = 5
      }
      let outcome = try await Fixtures.label(
        Fixtures.request(), task: try Fixtures.task(), configuration: configuration, clock: virtual.clock)
      #expect(outcome.accepted?.attempts == 5)
      #expect(server.seen.map(\.retryCount) == ["0", "1", "2", "3", "4"])
      // 1,700,000,000 is 22:13:20; seven seconds and a millisecond of back-off later, the date is 112.999 s away.
      #expect(virtual.sleeps == [.milliseconds(1), .seconds(7), .milliseconds(112_999), .seconds(120)])
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
        ? .calls(("find", #"{"room":"kitchen"}"#), delay: .seconds(4)) : .calls(Fixtures.light, delay: .seconds(5))
    } body: { address, server in
      let outcome = try await Fixtures.label(
        Fixtures.request(), task: try Fixtures.task { $0.lookups = [try Fixtures.lookup("find", .command(["cat"]))] },
        configuration: Fixtures.configuration(address) { $0.totalTimeout = .seconds(8) })
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
      #expect(try await server.sees(sent + 20))
      #expect(teacher.metrics.rejectedTotal == 0)
      refusesAll.store(false, ordering: .relaxed)
      #expect(try await outcomes.allSatisfy { $0.accepted != nil })
      await teacher.shutdown()
    }
  }

  @Test(
    "A record that alone is refused like a wrong key or path, or told to wait again and again, is named, and rejected at last",
    arguments: [(302, 3), (401, 3), (403, 3), (404, 3), (429, 5), (503, 5), (529, 5)])
  func refusedAlone(status: Int, failures: Int) async throws {
    let key = "sk-very-secret-1234567890"
    try await ScriptedServer.run { seen in
      seen.said == "poison"
        ? Reply(status, ["error": ["message": .string("not this, \(key)")]]) : .calls(Fixtures.light)
    } body: { address, server in
      let heard = HeardMessages()
      let teacher = try Teacher(
        task: try Fixtures.task(), configuration: Fixtures.configuration(address) { $0.apiKey = key },
        logger: heard.logger)
      let rejection = try await teacher.label(
        Fixtures.request("poison", id: "r-7"), at: "requests/0 at offset 15"
      ).rejection
      #expect(rejection?.code == (status > 404 ? .teacherFailed : .teacherRefused))
      #expect(rejection?.message.contains("status \(status)") == true)
      #expect(rejection?.message.contains("very-secret") == false)
      #expect(rejection?.rawAnswer?.contains("very-secret") != true)
      // The endpoint has answered the harmless request three times, each after a failure of the record.
      #expect(server.seen.map(\.said).suffix(6) == ["poison", "Hello.", "poison", "Hello.", "poison", "Hello."])
      #expect(server.seen.count { $0.said == "poison" } == failures)
      #expect(server.seen.count { $0.said == "Hello." } == 3)
      let named = heard.all.filter { $0.contains("the request r-7, requests/0 at offset 15,") }
      #expect(named.count == 1 && named.first?.contains("(status \(status): not this") == true, "\(heard.all)")
      #expect(!heard.all.contains { $0.contains("very-secret") })
      #expect(try await teacher.label(Fixtures.request("fine")).accepted != nil)
      await teacher.shutdown()
    }
  }

  @Test("A record that is told to wait again and again is not at fault where others that had to wait are answered")
  func busyForAll() async throws {
    let answered = Atomic(0)
    let deadline = ContinuousClock.now + .seconds(60)
    try await ScriptedServer.run { seen in
      let attempt = seen.retryCount.flatMap { Int($0) } ?? 0
      guard seen.said == "long" else {
        return attempt == 0 && seen.said != "Hello." ? Reply(429, "wait") : .calls(Fixtures.light)
      }
      // Before each of its refusals another one, which had to wait, was answered.
      while answered.load(ordering: .relaxed) <= attempt, ContinuousClock.now < deadline {
        try? await Task.sleep(for: .milliseconds(2))
      }
      return attempt < 12 ? Reply(429, "wait") : .calls(Fixtures.light)
    } body: { address, server in
      let teacher = try Teacher(
        task: try Fixtures.task(), configuration: Fixtures.configuration(address), logger: Fixtures.quiet)
      async let outcome = teacher.label(Fixtures.request("long"))
      for number in 0...12 {
        while teacher.metrics.rejectedTotal == 0, ContinuousClock.now < deadline,
          !server.seen.contains(where: { $0.said == "long" && $0.retryCount == "\(number)" })
        { try await Task.sleep(for: .milliseconds(2)) }
        #expect(try await teacher.label(Fixtures.request("number \(number)")).accepted != nil)
        answered.store(number + 1, ordering: .relaxed)
      }
      #expect(try await outcome.accepted?.attempts == 13)
      #expect(!server.seen.contains { $0.said == "Hello." })
      await teacher.shutdown()
    }
  }

  @Test(
    "A record that is told to wait for ever is rejected at last, whether others that had to wait are answered or nobody for long",
    arguments: [
      // Sixty are forgotten; of eleven that count the last six had an answered canary behind them.
      (othersAreAnswered: true, refusedCanaries: 0, attempts: 71, canaries: 6),
      // A canary that has to wait itself is sent again only after six more.
      (othersAreAnswered: false, refusedCanaries: 2, attempts: 23, canaries: 8),
    ])
  func busyForEver(othersAreAnswered: Bool, refusedCanaries: Int, attempts: Int, canaries: Int) async throws {
    let clock = VirtualClock().clock
    let gate = EndpointGate(
      name: "test", maximumConcurrent: 8, breaker: BreakerPolicy(), budget: nil, clock: clock, logger: Fixtures.quiet)
    let caller = ResilientCaller(gate: gate, retry: RetryPolicy(), clock: clock)
    let sent = Atomic(0)
    let sentCanaries = Atomic(0)
    let rejection = await #expect(throws: Rejection.self) {
      _ = try await caller.run(
        failure: .teacherFailed,
        canary: {
          {
            sentCanaries.add(1, ordering: .relaxed).oldValue < refusedCanaries
              ? .outage(.rateLimited, message: "wait", retryAfter: nil, blamable: false)
              : .success(true, tokens: 0, money: 0)
          }
        },
        body: { _ in
          sent.add(1, ordering: .relaxed)
          if othersAreAnswered { await gate.waitingHasHelped() }
          return Attempt<Bool>.outage(.rateLimited, message: "wait", retryAfter: nil, blamable: false)
        })
    }
    #expect(rejection?.code == .teacherFailed)
    #expect(sent.load(ordering: .relaxed) == attempts)
    #expect(sentCanaries.load(ordering: .relaxed) == canaries)
    #expect(rejection?.message.contains("\(attempts) failures") == true)
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
}
