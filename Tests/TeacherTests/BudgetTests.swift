import Foundation
import Synchronization
import Teacher
import Testing
import Topics

@Suite("Budgets, and who is let in when")
struct BudgetTests {
  /// Runs `body` with the configuration of a teacher that has a budget and keeps what it spent; each answer has 110 tokens.
  private func budgeted(
    _ body: @Sendable (TeacherConfiguration, ScriptedServer, VirtualClock) async throws -> Void
  ) async throws {
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
      try await body(configuration, server, virtual)
    }
  }

  @Test("A spent budget pauses until the hour has passed, also after a restart")
  func budget() async throws {
    try await budgeted { configuration, server, virtual in
      let teacher = try Teacher(
        task: try Fixtures.task(), configuration: configuration, clock: virtual.clock, logger: Fixtures.quiet)
      // Two fit into the hour.
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
    try await budgeted { configuration, server, virtual in
      let task = try Fixtures.task {
        $0.verifier = .inProcess(name: "no") { _, _ in VerifierVerdict(accepted: false) }
      }
      // Two fit into the hour.
      for index in 0..<3 {
        let outcome = try await Fixtures.label(
          Fixtures.request("number \(index)"), task: task, configuration: configuration, clock: virtual.clock)
        #expect(outcome.rejection?.code == .verifierRefused)
        #expect((virtual.now >= .seconds(3_599)) == (index == 2))
      }
      #expect(server.seen.count == 3)
    }
  }

  @Test("Answers that are no chat completion are paid for")
  func budgetOfMalformed() async throws {
    let virtual = VirtualClock()
    try await ScriptedServer.run { seen in
      seen.said == "bad"
        ? Reply(200, ["choices": [], "usage": ["prompt_tokens": 100, "completion_tokens": 10]])
        : .calls(Fixtures.light)
    } body: { address, server in
      let teacher = try Teacher(
        task: try Fixtures.task(),
        configuration: Fixtures.configuration(address) {
          $0.budget = BudgetPolicy(tokensPerHour: 200)
          $0.prices = Prices(promptPerMillion: 10_000)
        }, clock: virtual.clock, logger: Fixtures.quiet)
      // Asked about twice, at 110 tokens each: the hour's budget.
      #expect(try await teacher.label(Fixtures.request("bad")).rejection?.code == .malformedAnswer)
      #expect(virtual.now == .zero)
      #expect(teacher.metrics.cost == 2)
      #expect(try await teacher.label(Fixtures.request("good")).accepted != nil)
      #expect(virtual.now >= .seconds(3_600))
      #expect(server.seen.count == 3)
      await teacher.shutdown()
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
      #expect(try await gate.hasWaiters(index + 1))
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
    #expect(try await gate.hasWaiters(1))
    await gate.close()
    await #expect(throws: CancellationError.self) { try await last.value }
  }

  @Test("What finds out whether a busy endpoint answers others goes behind those who wait")
  func busy() async throws {
    let gate = EndpointGate(
      name: "test", maximumConcurrent: 1, breaker: BreakerPolicy(), budget: nil, clock: .system, logger: Fixtures.quiet)
    let caller = ResilientCaller(gate: gate, retry: RetryPolicy(attempts: 1, base: .zero), clock: .system)
    let entered = Numbers()
    let othersWait = Atomic(false)
    let refused = Task {
      try await caller.run(
        failure: .teacherFailed,
        canary: {
          {
            entered.append(9)
            return .success(true, tokens: 0, money: 0)
          }
        },
        body: { _ in
          entered.append(0)
          while !othersWait.load(ordering: .relaxed) { await Task.yield() }
          return Attempt<Bool>.outage(.rateLimited, message: "wait", retryAfter: nil, blamable: false)
        })
    }
    while entered.all.isEmpty { await Task.yield() }
    var others: [Task<Void, any Error>] = []
    for index in 1...3 {
      others.append(
        Task {
          try await gate.enter()
          entered.append(index)
          await gate.leave(.answered(tokens: 0, money: 0))
        })
      let theyWait = try await gate.hasWaiters(index)
      #expect(theyWait)
    }
    othersWait.store(true, ordering: .relaxed)
    for other in others { try await other.value }
    await #expect(throws: Rejection.self) { try await refused.value }
    #expect(entered.all == [0, 1, 2, 3, 9, 0, 9])
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

extension EndpointGate {
  /// Waits until so many wait, for at most a minute; whether they do.
  fileprivate func hasWaiters(_ count: Int) async throws -> Bool {
    for _ in 0..<30_000 {
      if waiters >= count { return true }
      try await Task.sleep(for: .milliseconds(2))
    }
    return false
  }
}

/// Numbers in the order in which they came.
private final class Numbers: Sendable {
  private let list = Mutex<[Int]>([])

  var all: [Int] { list.withLock { $0 } }

  func append(_ number: Int) { list.withLock { $0.append(number) } }
}
