import Teacher
import Testing
import Topics

@Suite("Back-off, breaker, budget, votes")
struct PureTests {
  @Test("Retry-After is read as seconds and as an HTTP date, and nothing else")
  func retryAfter() {
    // 784111777 is 1994-11-06 08:49:37 UTC.
    let before: Int64 = 784_111_777_000 - 5_000
    #expect(RetryAfter.parse("120", wallMilliseconds: 0) == .seconds(120))
    #expect(RetryAfter.parse(" 0 ", wallMilliseconds: 0) == .zero)
    #expect(RetryAfter.parse("Sun, 06 Nov 1994 08:49:37 GMT", wallMilliseconds: before) == .seconds(5))
    #expect(RetryAfter.parse("Sun, 06 Nov 1994 08:49:37 GMT", wallMilliseconds: before + 60_000) == .zero)
    #expect(RetryAfter.parse("99999999999999999999", wallMilliseconds: 0) == RetryAfter.maximum)
    for text in ["", "-1", "soon", "1.5", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT"] {
      #expect(RetryAfter.parse(text, wallMilliseconds: 0) == nil)
    }
  }

  @Test("Back-off doubles up to its cap, with full jitter")
  func backOff() {
    let policy = RetryPolicy(attempts: 3, base: .seconds(1), cap: .seconds(10))
    #expect(policy.delay(afterFailure: 0, uniform: 0.5) == .milliseconds(500))
    #expect(policy.delay(afterFailure: 2, uniform: 0.5) == .seconds(2))
    #expect(policy.delay(afterFailure: 60, uniform: 0.5) == .seconds(5))
    #expect(policy.delay(afterFailure: 3, uniform: 0) == .zero)
  }

  @Test("The breaker opens after failures in a row, lets one probe pass, and closes on its success")
  func breaker() {
    var breaker = CircuitBreaker(
      policy: BreakerPolicy(failures: 2, pause: .seconds(1), maximumPause: .seconds(3)))
    breaker.failed(at: .zero, retryAfter: nil)
    breaker.succeeded()
    breaker.failed(at: .zero, retryAfter: nil)
    #expect(breaker.admit(at: .zero) == .pass)
    breaker.failed(at: .zero, retryAfter: nil)
    #expect(breaker.admit(at: .milliseconds(999)) == .waitUntil(.seconds(1)))
    #expect(breaker.admit(at: .seconds(1)) == .pass)
    #expect(breaker.admit(at: .seconds(1)) == .waitForProbe)
    breaker.failed(at: .seconds(1), retryAfter: nil)
    #expect(breaker.pausedUntil(at: .seconds(1)) == .seconds(3))
    #expect(breaker.admit(at: .seconds(3)) == .pass)
    breaker.failed(at: .seconds(3), retryAfter: .seconds(50))
    #expect(breaker.pausedUntil(at: .seconds(3)) == .seconds(53))
    #expect(breaker.admit(at: .seconds(53)) == .pass)
    breaker.succeeded()
    #expect(breaker.admit(at: .seconds(53)) == .pass)
    #expect(breaker.admit(at: .seconds(53)) == .pass)
  }

  @Test(
    "One answer that says to come back tomorrow holds all others up for a minute, many in a row for as long as they say"
  )
  func longWishes() {
    let day = Duration.seconds(86_400)
    var breaker = CircuitBreaker(policy: BreakerPolicy(failures: 1))
    breaker.failed(at: .zero, retryAfter: day)
    #expect(breaker.pausedUntil(at: .zero) == .seconds(60))
    // One that was under way.
    breaker.failed(at: .seconds(10), retryAfter: day)
    #expect(breaker.pausedUntil(at: .seconds(10)) == .seconds(70))
    // Another one is told something else.
    #expect(breaker.admit(at: .seconds(70)) == .pass)
    breaker.failed(at: .seconds(70), retryAfter: .seconds(5))
    #expect(breaker.pausedUntil(at: .seconds(70)) == .seconds(75))
    var (now, pauses) = (Duration.seconds(75), [Duration]())
    for _ in 0..<13 {
      #expect(breaker.admit(at: now) == .pass)
      breaker.failed(at: now, retryAfter: day)
      let until = breaker.pausedUntil(at: now) ?? .zero
      pauses.append(until - now)
      now = until
    }
    #expect(pauses == (0..<13).map { min(.seconds(60 << $0), day) })
    #expect(breaker.admit(at: now) == .pass)
    breaker.succeeded()
    breaker.failed(at: now, retryAfter: day)
    #expect(breaker.pausedUntil(at: now) == now + .seconds(60))
  }

  @Test("A cancelled probe lets the next request probe, and a refused key opens the breaker at once")
  func breakerCorners() {
    var breaker = CircuitBreaker(
      policy: BreakerPolicy(failures: 3, pause: .seconds(1), maximumPause: .seconds(8)))
    breaker.trip(at: .zero)
    #expect(breaker.isTripped)
    #expect(breaker.admit(at: .seconds(1)) == .pass)
    breaker.abandoned(at: .seconds(1))
    #expect(breaker.admit(at: .seconds(1)) == .pass)
    breaker.abandoned(at: .seconds(1))
    breaker.trip(at: .seconds(1))
    #expect(breaker.pausedUntil(at: .seconds(1)) == .seconds(3))
  }

  @Test("A spent budget admits again when enough of the hour has expired")
  func budget() {
    var window = SpendingWindow(policy: BudgetPolicy(tokensPerHour: 100))
    #expect(window.nextAdmission(at: .zero, inFlight: 5) == nil)
    window.record(tokens: 60, money: 0, at: .seconds(0))
    #expect(window.nextAdmission(at: .seconds(1), inFlight: 0) == nil)
    #expect(window.nextAdmission(at: .seconds(1), inFlight: 1) == .seconds(3_600))
    window.record(tokens: 50, money: 0, at: .seconds(10))
    #expect(window.nextAdmission(at: .seconds(11), inFlight: 0) == .seconds(3_600))
    #expect(window.nextAdmission(at: .seconds(3_600), inFlight: 0) == nil)
    var money = SpendingWindow(policy: BudgetPolicy(moneyPerHour: 1))
    money.record(tokens: 1, money: 1.5, at: .seconds(2))
    #expect(money.nextAdmission(at: .seconds(3), inFlight: 0) == .seconds(3_602))
  }

  @Test("Calls are counted as objects; invalid samples count against; a tie has no winner")
  func votes() throws {
    let one = try Call(json: JSON.parse(#"{"name":"f","arguments":{"a":1,"b":"x"}}"#))
    let same = try Call(json: JSON.parse(#"{"name":"f","arguments":{"b":"x","a":1.0}}"#))
    let other = Call(name: "f", arguments: ["a": 2])
    let policy = VotePolicy(samples: 3, agreement: 0.6)
    #expect(policy.winner(of: [one, same, other])?.votes == Votes(agree: 2, of: 3))
    #expect(policy.winner(of: [one, nil, nil]) == nil)
    #expect(policy.winner(of: [nil]) == nil)
    #expect(VotePolicy(samples: 2, agreement: 0.5).winner(of: [one, other]) == nil)
    #expect(VotePolicy(samples: 2, agreement: 0.5).winner(of: [one, nil])?.votes == Votes(agree: 1, of: 2))
  }

  @Test("Only string values that no schema fixes must occur in the request, whatever their case and spacing")
  func grounding() throws {
    let function = try FunctionDefinition(
      json: Fixtures.tool(
        "f",
        [
          "a": ["type": "string"], "e": ["type": "string", "enum": ["left"]],
          "l": ["type": "array", "items": ["type": "string"]],
          "o": [
            "anyOf": [
              ["type": "string", "enum": ["any"]], ["type": "object", "properties": ["k": ["type": "string"]]],
            ]
          ],
          "r": ["$ref": "#/properties/o/anyOf/0"], "s p": ["type": "string", "enum": ["far"]],
          "t": ["$ref": "#/properties/s%20p"],
          "u": [
            "anyOf": [
              ["type": "array", "items": ["type": "integer"]],
              ["type": "array", "items": ["$ref": "#/properties/e"]],
            ]
          ],
        ], []))
    let messages = [ChatMessage.system("secret"), .user("Play  Nina\nSimone, please: one two")]
    let grounding = Grounding(policy: .required, messages: messages)
    func path(_ arguments: JSONObject, _ grounding: Grounding) -> String? {
      grounding.violation(in: Call(name: "f", arguments: arguments), of: function)?.path
    }
    #expect(path(["a": "nina simone", "e": "left", "l": ["one", "two"]], grounding) == nil)
    #expect(path(["a": "secret"], grounding) == "a")
    #expect(path(["l": ["one", "three"]], grounding) == "l[1]")
    #expect(path(["o": "any"], grounding) == nil)
    #expect(path(["o": ["k": "elsewhere"]], grounding) == "o.k")
    #expect(path(["r": "any", "t": "far", "u": ["left"]], grounding) == nil)
    #expect(path(["r": "elsewhere"], grounding) == "r")
    #expect(path(["u": ["right"]], grounding) == "u[0]")
    let exempt = GroundingPolicy(isRequired: true, exemptProperties: ["a"])
    #expect(path(["a": "secret"], Grounding(policy: exempt, messages: messages)) == nil)
    #expect(path(["a": "secret"], Grounding(policy: .off, messages: messages)) == nil)
  }

  @Test("A base URL, a versioned one, and the whole URL lead to the same place")
  func urls() {
    for base in ["http://h", "http://h/", "http://h/v1", "http://h/v1/", "http://h/v1/chat/completions"] {
      #expect(ChatClient.completionsURL(base) == "http://h/v1/chat/completions")
    }
    for base in ["http://h", "http://h/v1/", "http://h/v1/chat/completions"] {
      #expect(ChatClient.completionsURL(base + "?api-version=1/2") == "http://h/v1/chat/completions?api-version=1/2")
    }
    #expect(ChatClient.completionsURL("http://h/openai/v2") == "http://h/openai/v2/chat/completions")
    #expect(
      LookupRunner.url("http://h/a?x=1", with: ["q": "a&b=c +d", "n": 2]) == "http://h/a?x=1&q=a%26b%3Dc%20%2Bd&n=2")
  }

  @Test("A hostile answer is a malformed one")
  func hostileAnswers() throws {
    let deep = String(repeating: "[", count: 5_000)
    let many = Array(repeating: #"{"id":"1","function":{"name":"f","arguments":"{}"}}"#, count: 33).joined(
      separator: ",")
    let bodies = [
      "", "{", "[]", "{}", #"{"choices":[]}"#, #"{"choices":[{"message":"hi"}]}"#, deep, "\u{FF}",
      #"{"choices":[{"message":{"tool_calls":{}}}]}"#, #"{"choices":[{"message":{"tool_calls":[{}]}}]}"#,
      #"{"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":7}}]}}]}"#,
      #"{"choices":[{"message":{"tool_calls":[\#(many)]}}]}"#,
      #"{"choices":[{"message":{"tool_calls":[{"function":{"name":"\#(String(repeating: "n", count: 300))","arguments":""}}]}}]}"#,
    ]
    for body in bodies {
      #expect(throws: Rejection.self, "\(body.prefix(60))") { try ChatAnswer(body: Array(body.utf8)) }
    }
    let object =
      #"{"choices":[{"message":{"content":[{"type":"text","text":"hm"}],"tool_calls":[{"function":{"name":"f","arguments":{"a":1}}},{"function":{"name":"g","arguments":"[1]"}}]}}],"usage":{"prompt_tokens":-5,"completion_tokens":9e30}}"#
    let answer = try ChatAnswer(body: Array(object.utf8))
    #expect(answer.calls[0].arguments == ["a": 1])
    #expect(answer.calls[1].arguments == nil)
    #expect(answer.content == "hm")
    #expect(answer.usage == TokenUsage(promptTokens: 0, completionTokens: 0, calls: 1))
  }

  @Test("A call without arguments says so in several ways")
  func noArguments() throws {
    for arguments in [#","arguments":"""#, #","arguments":"{}""#, #","arguments":{}"#, #","arguments":null"#, ""] {
      let body = #"{"choices":[{"message":{"tool_calls":[{"function":{"name":"stop"\#(arguments)}}]}}]}"#
      #expect(try ChatAnswer(body: Array(body.utf8)).calls[0].arguments == [:], "\(arguments)")
    }
  }

  @Test("There are connections for all that the teacher, HTTP lookups and an HTTP verifier on one host have in flight")
  func connections() throws {
    let configuration = Fixtures.configuration("http://h") { $0.maximumConcurrentRequests = 5 }
    #expect(configuration.connections(for: try Fixtures.task()) == 5)
    let task = try Fixtures.task {
      $0.lookups = [
        try Fixtures.lookup("a", .http(url: "http://h/a")), try Fixtures.lookup("b", .command(["cat"])),
        try Fixtures.lookup("c", .http(url: "http://h/c")),
      ]
      $0.verifier = .http(url: "http://h/verify")
    }
    #expect(configuration.connections(for: task) == 20)
  }

  @Test("A configuration out of range is named")
  func configuration() throws {
    func error(_ change: (inout TeacherConfiguration) -> Void) -> String? {
      let configuration = Fixtures.configuration("http://h", change)
      do { try configuration.validate() } catch { return error.subject }
      return nil
    }
    #expect(error { _ in } == nil)
    #expect(error { $0.temperature = 3 } == "teacher.temperature")
    #expect(error { $0.temperature = .nan } == "teacher.temperature")
    #expect(error { $0.model = "" } == "teacher.model")
    #expect(error { $0.endpoint = nil } == "teacher.endpoint")
    #expect(error { $0.apiKey = "a\nb" } == "teacher.api_key")
    #expect(error { $0.endpoint = "https://user:secret@host/v1" } == "teacher.endpoint")
    #expect(error { $0.endpoint = "https://host/v1/a@b" } == nil)
    #expect(error { $0.extraParameters = ["stream": true] } == "teacher.extra_parameters")
    #expect(error { $0.maximumTurns = 0 } == "teacher.maximum_turns")
    #expect(error { $0.budget = BudgetPolicy(tokensPerHour: 0) } == "teacher.budget.tokens_per_hour")
    #expect(error { $0.budget = BudgetPolicy(moneyPerHour: 1) } == "teacher.money_per_hour")
    #expect(
      error {
        $0.budget = BudgetPolicy(moneyPerHour: 1)
        $0.prices = Prices(completionPerMillion: 1)
      } == nil)
    #expect(throws: TeacherError.self) {
      try Teacher(task: try Fixtures.task(), configuration: Fixtures.configuration("ftp://h"), logger: Fixtures.quiet)
    }
    // A password in the address of a service stands in no message.
    let secret = "https://user:secret@host"
    for task in [
      try Fixtures.task { $0.lookups = [try Fixtures.lookup("find", .http(url: secret))] },
      try Fixtures.task { $0.verifier = .http(url: secret) },
    ] {
      let error = #expect(throws: TeacherError.self) {
        try Teacher(task: task, configuration: Fixtures.configuration("http://h"), logger: Fixtures.quiet)
      }
      #expect(error?.description.contains("without user information") == true)
      #expect(error?.description.contains("secret") == false)
    }
    let duplicate = try Fixtures.task { $0.lookups = [try Fixtures.lookup("play", .command(["cat"]))] }
    #expect(throws: TeacherError.self) { try duplicate.validate() }
  }
}
