import Teacher
import Testing
import Topics

@Suite("Labelling over real HTTP: answers and their checks")
struct LabelTests {
  /// Labels with a server that always answers the same.
  private func outcome(
    _ reply: Reply, _ request: RequestRecord = Fixtures.request(),
    task: TaskDefinition? = nil, _ change: @escaping @Sendable (inout TeacherConfiguration) -> Void = { _ in }
  ) async throws -> LabelOutcome {
    let task = try task ?? Fixtures.task()
    return try await ScriptedServer.run { _ in
      reply
    } body: { address, _ in
      try await Fixtures.label(request, task: task, configuration: Fixtures.configuration(address, change))
    }
  }

  @Test("The request carries instructions, tools, parameters and the key; the label says what it took")
  func happyPath() async throws {
    try await ScriptedServer.run { _ in
      .calls(Fixtures.light)
    } body: { address, server in
      let configuration = Fixtures.configuration(address + "/v1") {
        $0.apiKey = "sk-test-1234567890"
        $0.temperature = 0.5
        $0.prices = Prices(promptPerMillion: 10, completionPerMillion: 100)
        $0.extraParameters = ["reasoning_effort": "low"]
      }
      let teacher = try Teacher(task: try Fixtures.task(), configuration: configuration, logger: Fixtures.quiet)
      let label = try await teacher.label(Fixtures.request()).accepted
      #expect(label?.call == Call(name: "set_light", arguments: ["room": "kitchen", "on": true]))
      #expect(label?.producer == "test-model")
      #expect(label?.promptDigest == teacher.promptDigest)
      #expect(label?.votes == Votes(agree: 1, of: 1))
      #expect(label?.usage == TokenUsage(promptTokens: 100, completionTokens: 10, calls: 1))
      #expect(abs((label?.cost ?? 0) - 0.002) < 1e-12)
      #expect(label?.attempts == 1)
      #expect(label?.topLogprobs == nil)
      #expect(label?.verdicts == [LabelVerdict(name: "schema", passed: true)])
      #expect(teacher.metrics.accepted == 1)
      await teacher.shutdown()
      let seen = server.seen[0]
      #expect(seen.path == "/v1/chat/completions")
      #expect(seen.authorization == "Bearer sk-test-1234567890")
      #expect(seen.retryCount == "0")
      #expect(seen.messages.map { $0["role"] } == ["system", "user"])
      #expect(seen.body["tools"]?.arrayValue?.count == 2)
      #expect(seen.body["tool_choice"] == "required")
      #expect(seen.body["temperature"] == 0.5)
      #expect(seen.body["seed"] == 0)
      #expect(seen.body["reasoning_effort"] == "low")
    }
  }

  @Test("Each wrong answer has its own code")
  func codes() async throws {
    let cases: [(Reply, RejectionCode)] = [
      (.calls(("nonsense", "{}")), .unknownFunction),
      (.calls(("set_light", #"{"room":"kitchen"}"#)), .invalidArguments),
      (.calls(("set_light", #"{"room":7,"on":true}"#)), .invalidArguments),
      (.calls(("set_light", "{\"room\":")), .malformedAnswer),
      (.calls(Fixtures.light, ("set_light", #"{"room":"attic","on":true}"#)), .severalCalls),
      (.words("Sure!"), .noCall),
      (Reply(raw: "{\"choices\": ["), .malformedAnswer),
      (Reply(raw: "<html>"), .malformedAnswer),
      (Reply(413, ["error": ["message": "too long"]]), .teacherRefused),
    ]
    for (reply, code) in cases {
      let rejection = try await outcome(reply).rejection
      #expect(rejection?.code == code)
      #expect((rejection?.attempts ?? 0) >= 1)
    }
    #expect(try await outcome(.calls(Fixtures.light, Fixtures.light)).accepted != nil)
  }

  @Test("An answer in words is asked for a call once; that call is the label")
  func reminder() async throws {
    try await ScriptedServer.run { seen in
      seen.number == 0 ? .words("Which light?") : .calls(Fixtures.light)
    } body: { address, server in
      let outcome = try await Fixtures.label(
        Fixtures.request(), task: try Fixtures.task(), configuration: Fixtures.configuration(address))
      #expect(outcome.accepted != nil)
      #expect(server.seen[1].messages.map { $0["role"] } == ["system", "user", "assistant", "user"])
    }
  }

  @Test("A malformed answer is asked for once more")
  func malformedOnce() async throws {
    try await ScriptedServer.run { seen in
      seen.number == 0 ? Reply(raw: "{") : .calls(Fixtures.light)
    } body: { address, server in
      let outcome = try await Fixtures.label(
        Fixtures.request(), task: try Fixtures.task(), configuration: Fixtures.configuration(address))
      #expect(outcome.accepted?.attempts == 2)
    }
  }

  @Test("An oversized answer, request, or number of turns is bounded")
  func bounds() async throws {
    let huge = Reply.calls(("play", #"{"artist":"\#(String(repeating: "x", count: 5_000))"}"#))
    let rejected = try await outcome(huge) { $0.maximumResponseBytes = 2_000 }.rejection
    #expect(rejected?.code == .malformedAnswer)
    let long = Fixtures.request(String(repeating: "long ", count: 100))
    #expect(
      try await outcome(.calls(Fixtures.light), long) { $0.maximumRequestBytes = 400 }.rejection?.code
        == .requestTooLarge)
    let task = try Fixtures.task { $0.lookups = [try Fixtures.lookup("find", .command(["cat"]))] }
    let looping = Reply.calls(("find", #"{"room":"kitchen"}"#))
    #expect(try await outcome(looping, task: task) { $0.maximumTurns = 3 }.rejection?.code == .tooManyTurns)
    let slow = Reply.calls(("find", #"{"room":"kitchen"}"#), delay: .milliseconds(60))
    #expect(try await outcome(slow, task: task) { $0.totalTimeout = .milliseconds(150) }.rejection != nil)
  }

  @Test("An ungrounded value rejects, and says which")
  func ungrounded() async throws {
    let task = try Fixtures.task { $0.grounded = .required }
    let rejection = try await outcome(.calls(("play", #"{"artist":"Bach","mode":"loud"}"#)), task: task).rejection
    #expect(rejection?.code == .ungrounded)
    #expect(rejection?.message.contains("Bach") == true)
    let request = Fixtures.request("Some BACH please")
    #expect(
      try await outcome(.calls(("play", #"{"artist":"Bach","mode":"loud"}"#)), request, task: task).accepted != nil)
  }

  @Test("Verifiers over HTTP, as a command, and in the process accept and refuse")
  func verifiers() async throws {
    try await ScriptedServer.run { seen in
      if seen.path == "/verify" {
        let isKitchen = seen.body["call"]?["arguments"]?["room"] == "kitchen"
        return Reply(200, ["accepted": .bool(isKitchen), "reason": "looked"])
      }
      if seen.path == "/broken" { return Reply(200, ["fine": true]) }
      return .calls(("set_light", seen.said.contains("attic") ? #"{"room":"attic","on":true}"# : Fixtures.light.1))
    } body: { address, _ in
      func code(_ verifier: Verifier, _ text: String) async throws -> RejectionCode? {
        let task = try Fixtures.task { $0.verifier = verifier }
        let outcome = try await Fixtures.label(
          Fixtures.request(text), task: task, configuration: Fixtures.configuration(address))
        #expect(outcome.accepted == nil || outcome.accepted?.verdicts.last?.name == "verifier")
        return outcome.rejection?.code
      }
      let script = #"grep -q '"room":"kitchen"' && echo '{"accepted":true}' || echo '{"accepted":false}'"#
      let judge = Verifier.inProcess(name: "test") { call, request in
        VerifierVerdict(accepted: request.question.contains(call.arguments["room"]?.stringValue ?? "?"))
      }
      let cases: [(Verifier, String, RejectionCode?)] = [
        (.http(url: address + "/verify"), "kitchen", nil),
        (.http(url: address + "/verify"), "attic", .verifierRefused),
        (.http(url: address + "/broken"), "attic", .verifierFailed),
        (.command(["sh", "-c", script]), "kitchen", nil),
        (.command(["sh", "-c", script]), "attic", .verifierRefused),
        (.command(["false"]), "attic", .verifierFailed),
        (judge, "kitchen", nil), (judge, "cellar", .verifierRefused),
      ]
      for (verifier, text, expected) in cases {
        let found = try await code(verifier, text)
        #expect(found == expected, "\(text)")
      }
    }
  }

  @Test("Self-consistency asks k times with different seeds and accepts the majority")
  func selfConsistency() async throws {
    try await ScriptedServer.run { seen in
      let seed = seen.body["seed"]?.integerValue ?? -1
      switch seen.said {
      case "split": return .calls(("play", #"{"artist":"\#(seed)"}"#))
      case "broken": return seed % 2 == 0 ? .calls(Fixtures.light) : .calls(("nothing", "{}"))
      default: return seed == 1 ? .calls(("play", #"{"artist":"x"}"#)) : .calls(Fixtures.light)
      }
    } body: { address, server in
      let task = try Fixtures.task { $0.votes = VotePolicy(samples: 5, agreement: 0.6) }
      let teacher = try Teacher(task: task, configuration: Fixtures.configuration(address), logger: Fixtures.quiet)
      #expect(try await teacher.label(Fixtures.request("majority")).accepted?.votes == Votes(agree: 4, of: 5))
      let broken = try await teacher.label(Fixtures.request("broken")).accepted
      #expect(broken?.votes == Votes(agree: 3, of: 5))
      // What the two samples without a call have cost is the label's cost too.
      #expect(broken?.usage == TokenUsage(promptTokens: 500, completionTokens: 50, calls: 5))
      let split = try await teacher.label(Fixtures.request("split")).rejection
      #expect(split?.code == .noAgreement)
      #expect(split?.attempts == 5)
      await teacher.shutdown()
    }
  }

  @Test("A trusted recorded answer is checked and costs no call; any other answer is no label")
  func recorded() async throws {
    let good = Call(name: "set_light", arguments: ["room": "kitchen", "on": true])
    @Sendable func request(_ producer: String, _ call: Call) -> RequestRecord {
      RequestRecord(id: "1", text: "kitchen", response: RequestResponse(producer: producer, call: call))
    }
    try await ScriptedServer.run { _ in
      .calls(("set_light", #"{"room":"kitchen","on":false}"#))
    } body: { address, server in
      let task = try Fixtures.task {
        $0.trustedProducers = ["import", "gpt"]
        $0.grounded = .required
      }
      let teacher = try Teacher(task: task, configuration: Fixtures.configuration(address), logger: Fixtures.quiet)
      let trusted = try await teacher.label(request("gpt", good)).accepted
      #expect(trusted?.producer == "gpt")
      #expect(trusted?.attempts == 0)
      #expect(trusted?.call == good)
      var wrong = good
      wrong.arguments["room"] = "attic"
      #expect(try await teacher.label(request("import", wrong)).rejection?.code == .ungrounded)
      let message = ChatMessage(role: .assistant, content: "Done.")
      let words = RequestRecord(id: "2", text: "kitchen", response: RequestResponse(producer: "gpt", message: message))
      #expect(try await teacher.label(words).rejection?.code == .noCall)
      #expect(server.seen.isEmpty)
      let untrusted = try await teacher.label(request("retort-student-7", good)).accepted
      #expect(untrusted?.producer == "test-model")
      #expect(untrusted?.call.arguments["on"] == false)
      #expect(server.seen.count == 1)
      await teacher.shutdown()
      let nobody = try Teacher(
        task: task, configuration: TeacherConfiguration(endpoint: nil), logger: Fixtures.quiet)
      #expect(try await nobody.label(request("import", good)).accepted != nil)
      guard case .skipped(let reason) = try await nobody.label(request("someone", good)) else {
        Issue.record("not skipped")
        return
      }
      #expect(reason == "no teacher configured and no trusted answer")
      await nobody.shutdown()
    }
  }
}
