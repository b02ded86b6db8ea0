import Foundation
import Inference
import NIOHTTP1
import Serving
import Testing
import Topics

@Suite("The chat API over HTTP")
struct ChatTests {
  @Test("a request is answered in OpenAI's shape")
  func wholeAnswer() async throws {
    try await TestServer.run(ModelSlot(try TinyModel.served(version: 3))) { server in
      let reply = try await server.chat(
        "play something by Björk", ["model": "assistant", "temperature": 0.7, "tools": TinyModel.tools, "n": 1],
        headers: [("X-Request-Id", "mine-1")])
      #expect(reply.status == 200)
      #expect(reply.headers.first(name: "x-request-id") == "mine-1")
      let body = try #require(reply.json)
      #expect(body["object"] == "chat.completion")
      #expect(body["model"] == "assistant")
      let choice = try #require(body["choices"]?[0])
      #expect(choice["finish_reason"] == "tool_calls")
      #expect(choice["message"]?["content"] == .null)
      let call = try #require(choice["message"]?["tool_calls"]?[0])
      #expect(call["type"] == "function")
      #expect(call["id"]?.stringValue?.hasPrefix("call_") == true)
      let made = try Call(json: try #require(call["function"]))
      #expect(try FunctionSet(json: TinyModel.tools).violations(of: made).isEmpty)
      let usage = try #require(body["usage"])
      let total = try #require(usage["total_tokens"]?.integerValue)
      #expect(total == (usage["prompt_tokens"]?.integerValue ?? 0) + (usage["completion_tokens"]?.integerValue ?? 0))
      #expect(body["retort"]?["version"] == 3)
      #expect(body["retort"]?["sha256"]?.stringValue == Digest.sha256("version 3").hex)
      #expect((0...1).contains(body["retort"]?["confidence"]?.doubleValue ?? -1))
    }
  }

  @Test("answers are looked for as far as the server is told", arguments: [0, 8])
  func alternatives(_ count: Int) async throws {
    let models = try (1...6).map { try TinyModel.served(version: $0) }
    let request = "play something by Björk"
    func answer(_ model: ServedModel, _ alternatives: Int) throws -> Answer? {
      try Inference.Decoder(model: model.model).answer(
        [[.user(request)]], options: DecodeOptions(alternatives: alternatives)
      ).first
    }
    let unsure = try #require(try models.first { try answer($0, 0)?.text != answer($0, 8)?.text })
    let expected = try answer(unsure, count)
    try await TestServer.run(
      ModelSlot(unsure), engine: .init(workers: 1, decoding: DecodeOptions(alternatives: count))
    ) { server in
      let reply = try #require(try await server.chat(request).json)
      let call = try #require(reply["choices"]?[0]?["message"]?["tool_calls"]?[0]?["function"])
      #expect(try Call(json: call) == expected?.call)
      #expect(reply["retort"]?["confidence"]?.doubleValue == expected?.confidence)
    }
  }

  @Test("whether to ask the LLM instead is in the body and in a header, also of a stream")
  func escalation() async throws {
    let message: JSON = ["role": "user", "content": "play something by Björk"]
    let result: [JSON] = [
      message,
      [
        "role": "assistant", "content": .null,
        "tool_calls": [
          ["id": "1", "type": "function", "function": ["name": "stop_music", "arguments": "{}"]]
        ],
      ], ["role": "tool", "tool_call_id": "1", "content": .null],
    ]
    let refused: [JSON] = [message, ["role": "assistant", "content": .null, "refusal": "No."], message]
    let stranger: JSON = [["type": "function", "function": ["name": "fly", "parameters": ["type": "object"]]]]
    let annotated: JSON = [
      [
        "type": "function",
        "function": [
          "name": "play_music", "description": "Plays.", "strict": true,
          "parameters": [
            "type": "object", "title": "Play",
            "properties": ["artist": ["type": "string", "description": "Who."], "loud": ["type": "boolean"]],
            "required": ["artist"],
          ],
        ],
      ],
      [
        "type": "function",
        "function": [
          "name": "stop_music", "parameters": ["type": "object", "title": "Stop", "properties": [:], "required": []],
        ],
      ],
    ]
    @Sendable func escalates(_ server: TestServer, _ extra: JSONObject) async throws -> Bool? {
      let reply = try await server.chat("play something by Björk", extra)
      let said = reply.json?["retort"]?["escalate"]?.boolValue
      #expect(reply.headers.first(name: "x-retort-escalate") == said.map(String.init), "\(reply.text)")
      return said
    }
    let served = try TinyModel.served(version: 1)
    let unsure = ServedModel(model: served.model, name: "assistant", version: 1, digest: served.digest)
    try await TestServer.run(ModelSlot(unsure)) { server in
      let said = try await escalates(server, [:])
      #expect(said == true)
    }
    try await TestServer.run(ModelSlot(unsure), threshold: 0) { server in
      #expect(try await escalates(server, [:]) == false)
      #expect(try await escalates(server, ["messages": .array(refused)]) == false)
      #expect(try await escalates(server, ["messages": .array(result)]) == true)
      #expect(try await escalates(server, ["tools": annotated]) == false)
      #expect(
        try await escalates(server, ["tools": .array((annotated.arrayValue ?? []) + (stranger.arrayValue ?? []))])
          == true)
      let odd: [JSON] = [
        ["type": "web_search"], ["type": "function", "function": ["name": "a.b", "parameters": ["oneOf": []]]],
      ]
      #expect(try await escalates(server, ["tools": .array((annotated.arrayValue ?? []) + odd)]) == true)
      #expect(try await server.chat("play", ["tools": [7]]).status == 400)
      #expect(
        try await server.chat("play", ["tools": .array((stranger.arrayValue ?? []) + (stranger.arrayValue ?? []))])
          .status == 400)
      let stream = try await server.chat("play something by Björk", ["stream": true])
      #expect(stream.headers.first(name: "x-retort-escalate") == "false")
      #expect(stream.headers.first(name: "x-retort-version") == "1")
      #expect(try await server.get("/v1/models/assistant").json?["id"] == "assistant")
      #expect(try await server.get("/v1/models/other").status == 404)
      let text = try await server.get("/metrics").text
      #expect(text.contains(#"retort_answers_total{kind="call",escalate="false"}"#), "\(text)")
      #expect(text.contains("retort_answer_confidence_bucket"))
    }
  }

  @Test("a client that waits for each answer is never too many, nor one that waits for 100 Continue slow")
  func oneByOne() async throws {
    try await TestServer.run(ModelSlot(try TinyModel.served(version: 1)), engine: .init(workers: 2, maximumRequests: 1))
    {
      server in
      for _ in 0..<300 { #expect(try await server.chat("stop the music").status == 200) }
      let socket = try ClientSocket(port: server.port)
      socket.send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
      #expect(socket.line() == "HTTP/1.1 100 Continue")
      let large = try ClientSocket(port: server.port)
      large.send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n")
      #expect(large.line().hasPrefix("HTTP/1.1 413 "))
      // Behind a request that is being answered there is none.
      let body = #"{"messages": [{"role": "user", "content": "stop the music"}]}"#
      let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n"
      let pipelined = try ClientSocket(port: server.port)
      pipelined.send(head + "\r\n" + body + head + "Expect: 100-continue\r\n\r\n" + body)
      var statuses: [String] = []
      for _ in 0..<40 where statuses.count < 2 {
        let line = pipelined.line()
        // A body has no end of line: the next answer follows on its line.
        if let place = line.range(of: "HTTP/1.1 ") { statuses.append(String(line[place.upperBound...].prefix(3))) }
      }
      #expect(statuses == ["200", "200"])
    }
  }

  @Test("a stream says the same as the whole answer, chunk by chunk")
  func stream() async throws {
    try await TestServer.run(ModelSlot(try TinyModel.served(version: 1))) { server in
      let whole = try await server.chat("play hells bells by acdc")
      let reply = try await server.chat(
        "play hells bells by acdc", ["stream": true, "stream_options": ["include_usage": true]])
      #expect(reply.status == 200)
      #expect(reply.headers.first(name: "content-type") == "text/event-stream")
      var events = reply.text.components(separatedBy: "\n\n").filter { !$0.isEmpty }
      #expect(events.removeLast() == "data: [DONE]")
      let chunks = try events.map { try JSON.parse(String($0.dropFirst(6))) }
      #expect(chunks.allSatisfy { $0["object"] == "chat.completion.chunk" && $0["id"] == chunks[0]["id"] })
      #expect(chunks[0]["choices"]?[0]?["delta"]?["role"] == "assistant")
      let calls = chunks.compactMap { $0["choices"]?[0]?["delta"]?["tool_calls"]?[0]?["function"] }
      let name = calls.compactMap { $0["name"]?.stringValue }.joined()
      let arguments = calls.compactMap { $0["arguments"]?.stringValue }.joined()
      let function = whole.json?["choices"]?[0]?["message"]?["tool_calls"]?[0]?["function"]
      #expect(function == ["name": .string(name), "arguments": .string(arguments)])
      #expect(chunks.contains { $0["choices"]?[0]?["finish_reason"] == "tool_calls" })
      #expect(chunks.last?["usage"] == whole.json?["usage"])
    }
  }

  @Test("a request without a possible call gets a sentence")
  func noCall() async throws {
    try await TestServer.run(ModelSlot(try TinyModel.served(version: 1))) { server in
      let reply = try await server.chat(String(repeating: "play music ", count: 400))
      #expect(reply.status == 200)
      let choice = reply.json?["choices"]?[0]
      #expect(choice?["finish_reason"] == "stop")
      #expect(choice?["message"]?["content"]?.stringValue?.isEmpty == false)
      #expect(choice?["message"]?["tool_calls"] == nil)
    }
  }

  @Test(
    "what is not a request gets 400 and one sentence",
    arguments: [
      (#"{"messages": ["#, "byte"), ("[1]", "object"), ("{}", "messages"), (#"{"messages": []}"#, "messages"),
      (#"{"messages": "hello"}"#, "array"), (#"{"messages": [{"role": "user", "content": 7}]}"#, "messages[0].content"),
      (#"{"messages": [{"role": "poet", "content": "x"}]}"#, "messages[0].role"),
      (#"{"messages": [{"role": "user", "content": "x"}], "stream": "yes"}"#, "stream"),
      (#"{"messages": [{"role": "user", "content": "x"}], "n": 2}"#, "n:"),
      (#"{"messages": [{"role": "user", "content": "x"}], "max_tokens": 0}"#, "max_tokens:"),
      (#"{"messages": [{"role": "user", "content": "x"}], "model": 5}"#, "model"),
      (#"{"messages": [{"role": "user", "content": "x"}], "messages": []}"#, "byte"),
    ])
  func badBodies(body: String, word: String) async throws {
    try await TestServer.run(ModelSlot(try TinyModel.served(version: 1))) { server in
      let reply = try await server.post(Array(body.utf8))
      #expect(reply.status == 400)
      #expect(reply.sentence?.contains(word) == true, "\(reply.text)")
      #expect(reply.json?["error"]?["type"] == "invalid_request_error")
      let invalid = try await server.post([0x7B, 0x22, 0xFF, 0x22, 0x3A, 0x31, 0x7D])
      #expect(invalid.status == 400)
    }
  }

  @Test("a body above 1 MiB gets 413, an unknown model and an unknown path 404")
  func otherErrors() async throws {
    try await TestServer.run(ModelSlot(try TinyModel.served(version: 1))) { server in
      #expect(try await server.chat(String(repeating: "x", count: 10 << 20)).status == 413)
      let unknown = try await server.chat("play", ["model": "gpt-9"])
      #expect(unknown.status == 404)
      #expect(unknown.json?["error"]?["code"] == "model_not_found")
      #expect(try await server.get("/v2").status == 404)
      #expect(try await server.chat("play music by acdc", ["tool_choice": "auto"]).status == 200)
      let wrongMethod = try await server.get("/v1/chat/completions")
      #expect(wrongMethod.status == 405)
      #expect(wrongMethod.headers["Allow"] == ["POST"])
      #expect(try await server.chat("play music by acdc").status == 200)
    }
  }

  @Test("a connection that says nothing is closed, and others are answered meanwhile")
  func silentConnections() async throws {
    // Balancers, which keep connections for 60 s, are to close theirs first.
    #expect(ServingService.Options(engine: .init(workers: 1)).idleTimeout > .seconds(60))
    let slot = ModelSlot(try TinyModel.served(version: 1))
    try await TestServer.run(slot, idleTimeout: .milliseconds(300)) { server in
      for beginning in [
        "", "POST /v1/chat/comp", "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{",
      ] {
        let silent = try ClientSocket(port: server.port)
        silent.send(beginning)
        #expect(try await server.chat("play music by acdc").status == 200)
        #expect(silent.isClosed(within: 20_000), "\(beginning)")
      }
    }
  }

  @Test("a body that comes byte by byte ends in time")
  func slowBody() async throws {
    try await TestServer.run(ModelSlot(try TinyModel.served(version: 1)), idleTimeout: .milliseconds(500)) { server in
      let slow = try ClientSocket(port: server.port)
      slow.send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
      var ends = false
      for _ in 0..<200 where !ends {
        slow.send("{")
        ends = slow.hasAnswer(within: 100)
      }
      #expect(ends)
      // Where this test itself was held up for longer than a connection may be silent, that ended it.
      let line = slow.line()
      #expect(line.isEmpty || line.hasPrefix("HTTP/1.1 408 "), "\(line)")
      #expect(try await server.chat("play music by acdc").status == 200)
    }
  }

  @Test("before a model is there it says so, afterwards it is ready")
  func readiness() async throws {
    let slot = ModelSlot()
    try await TestServer.run(slot) { server in
      #expect(try await server.get("/healthz").status == 200)
      #expect(try await server.get("/readyz").status == 503)
      let early = try await server.chat("play")
      #expect(early.status == 503)
      #expect(early.headers.first(name: "retry-after") != nil)
      #expect(try await server.get("/v1/models").json?["data"] == [])
      slot.swap(try TinyModel.served(version: 1))
      #expect(try await server.get("/readyz").status == 200)
      #expect(try await server.chat("play music by acdc").status == 200)
      #expect(try await server.get("/v1/models").json?["data"]?[0]?["id"] == "assistant")
    }
  }

  @Test("a port that is taken is an error with one sentence")
  func takenPort() async throws {
    try await TestServer.run(ModelSlot()) { server in
      let port = try #require(Int(server.url.split(separator: ":").last ?? ""))
      let second = ServingService(
        options: .init(port: port, engine: .init(workers: 1)), slot: ModelSlot(), logger: TestServer.logger)
      await #expect(throws: ServingError.self) { try await second.run() }
    }
  }

  @Test("models swap under load, and no request fails")
  func swapUnderLoad() async throws {
    let models = try (1...4).map { try TinyModel.served(version: $0) }
    let slot = ModelSlot(models[0])
    try await TestServer.run(slot) { server in
      let swapper = Task {
        var next = 0
        while !Task.isCancelled {
          next += 1
          slot.swap(models[next % models.count])
          try await Task.sleep(for: .milliseconds(2))
        }
      }
      let seen = try await withThrowingTaskGroup(of: Set<Int64>.self) { group in
        for _ in 0..<6 {
          group.addTask {
            var versions: Set<Int64> = []
            for _ in 0..<25 {
              let reply = try await server.chat("play hells bells by acdc")
              #expect(reply.status == 200)
              if let version = reply.json?["retort"]?["version"]?.integerValue { versions.insert(version) }
            }
            return versions
          }
        }
        return try await group.reduce(into: Set<Int64>()) { $0.formUnion($1) }
      }
      swapper.cancel()
      #expect(seen.count > 1)
    }
  }

  @Test("a model that is answered with after it was swapped is not kept")
  func swappedModel() async throws {
    let slot = ModelSlot()
    let engine = AnswerEngine(slot: slot, options: .init(workers: 1))
    defer { engine.stop() }
    weak var swapped: ServedModel?
    do {
      let old = try TinyModel.served(version: 1)
      swapped = old
      slot.swap(old)
      slot.swap(try TinyModel.served(version: 2))
      _ = try await engine.answer([.user("stop the music")], with: old)
    }
    // The thread lets go of it just after it has told the answer.
    for _ in 0..<2_000 where swapped != nil { try await Task.sleep(for: .milliseconds(5)) }
    #expect(swapped == nil)
  }

  @Test("above the bound requests get 429 with Retry-After, and the server goes on")
  func tooMany() async throws {
    let slot = ModelSlot(try TinyModel.served(version: 1, positions: 4_096))
    try await TestServer.run(slot, engine: .init(workers: 1, maximumRequests: 1)) { server in
      let text = String(repeating: "play something by acdc ", count: 100)
      let replies = try await withThrowingTaskGroup(of: TestServer.Reply.self) { group in
        for _ in 0..<24 { group.addTask { try await server.chat(text) } }
        return try await group.reduce(into: [TestServer.Reply]()) { $0.append($1) }
      }
      #expect(Set(replies.map(\.status)) == [200, 429])
      for reply in replies where reply.status == 429 {
        #expect(reply.headers.first(name: "retry-after") == "1")
        #expect(reply.json?["error"]?["type"] == "rate_limit_error")
      }
      #expect(try await server.chat("stop the music").status == 200)
    }
  }

  @Test("metrics are Prometheus text with requests, tokens, latency and the version")
  func metrics() async throws {
    try await TestServer.run(ModelSlot(try TinyModel.served(version: 5))) { server in
      _ = try await server.chat("play something by acdc")
      _ = try await server.post([])
      let reply = try await server.get("/metrics")
      #expect(reply.headers.first(name: "content-type") == "text/plain; version=0.0.4; charset=utf-8")
      for line in [
        #"retort_http_requests_total{route="chat",status="200"} 1"#,
        #"retort_http_requests_total{route="chat",status="400"} 1"#, "retort_model_version 5",
        "retort_answer_seconds_count 1", #"retort_answer_seconds_bucket{le="+Inf"} 1"#,
        "# TYPE retort_answer_seconds histogram", "retort_model_swaps_total 1", "retort_requests_in_flight 0",
      ] {
        #expect(reply.text.contains("\n" + line + "\n") || reply.text.hasPrefix(line), "\(line)")
      }
      #expect(reply.text.contains(#"retort_tokens_total{kind="prompt"}"#))
    }
  }
}
