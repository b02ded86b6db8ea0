import Foundation
import Inference
import NIOHTTP1
import Serving
import Testing
import Topics

/// What `tools` and `tool_choice` of a request leave to be called.
@Suite("Functions that a client allows")
struct AllowedFunctionsTests {
  @Test(
    "where the model would call what a request leaves out, the LLM is to be asked, however sure it is among the rest")
  func leftOut() async throws {
    let request = "play something by Björk"
    @Sendable func tool(_ name: String) throws -> JSON {
      try #require(TinyModel.tools.arrayValue?.first { $0["function"]?["name"]?.stringValue == name })
    }
    @Sendable func choice(_ name: String) -> JSON { ["type": "function", "function": ["name": .string(name)]] }
    func among(_ name: String) -> JSON {
      ["type": "allowed_tools", "allowed_tools": ["mode": "auto", "tools": [choice(name)]]]
    }
    let served = try TinyModel.served(version: 1)
    let own = try Inference.Decoder(model: served.model).answer([[.user(request)]], options: DecodeOptions())
    let (called, sure) = (try #require(own.first?.call?.name), try #require(own.first?.confidence))
    let other = called == "play_music" ? "stop_music" : "play_music"
    let cases: [(extra: JSONObject, calls: String, escalates: Bool)] = [
      ([:], called, false), (["tools": [try tool(called)]], called, false),
      (["tool_choice": among(called)], called, false),
      (["tools": [try tool(other)]], other, true), (["tool_choice": among(other)], other, true),
      (["tools": [try tool(other)], "stream": true], other, true),
      (["tool_choice": choice(other)], other, false),
      (["tools": [try tool(other)], "tool_choice": choice(other)], other, false),
      (["tools": [try tool(other)], "tool_choice": "required"], other, false),
    ]
    try await TestServer.run(ModelSlot(served), engine: .init(workers: 1, maximumRequests: 1), threshold: 0) { server in
      for (extra, calls, escalates) in cases {
        let reply = try await server.chat(request, extra)
        #expect(reply.status == 200)
        #expect(reply.text.contains(calls), "\(extra)")
        #expect(reply.headers.first(name: "x-retort-escalate") == "\(escalates)", "\(extra)")
        #expect(reply.text.contains(#""escalate":\#(escalates)"#), "\(extra)")
        // What is among the functions that are left is as sure as among all.
        if calls == called { #expect(reply.headers.first(name: "x-retort-confidence") == "\(sure)") }
      }
      // An answer is one, however often the model was asked.
      let metrics = try await server.get("/metrics").text
      #expect(metrics.contains("\nretort_answer_seconds_count 9\n"))
      #expect(metrics.contains("\n" + #"retort_answers_total{kind="call",escalate="true"} 3"# + "\n"))
    }
  }

  @Test("an answer calls only what the client allows, whatever else is asked beside it")
  func chosenFunctions() async throws {
    func choice(_ name: String) -> JSON { ["type": "function", "function": ["name": .string(name)]] }
    let allowing: [(JSONObject, Set<String>)] = [
      ([:], ["play_music", "stop_music"]), (["tool_choice": choice("play_music")], ["play_music"]),
      (["tool_choice": choice("stop_music"), "tools": TinyModel.tools], ["stop_music"]),
      (["tools": [try #require(TinyModel.tools.arrayValue?[0])]], ["play_music"]),
      (
        [
          "tool_choice": [
            "type": "allowed_tools", "allowed_tools": ["mode": "auto", "tools": [choice("stop_music")]],
          ]
        ], ["stop_music"]
      ),
    ]
    for version in 1...3 {
      try await TestServer.run(ModelSlot(try TinyModel.served(version: version)), engine: .init(workers: 1)) { server in
        let made = try await withThrowingTaskGroup(of: (Int, Call).self) { group in
          for index in 0..<40 {
            group.addTask {
              let reply = try await server.chat("play something by Björk", allowing[index % allowing.count].0)
              let call = try #require(reply.json?["choices"]?[0]?["message"]?["tool_calls"]?[0]?["function"])
              return (index % allowing.count, try Call(json: call))
            }
          }
          return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(made.count == 40)
        for (kind, call) in made { #expect(allowing[kind].1.contains(call.name)) }
        #expect(Set(made.filter { $0.0 == 0 }.map(\.1)).count == 1, "the same request got other answers")
      }
    }
  }

  @Test(
    "a function that is not there cannot be chosen",
    arguments: [
      #"{"type": "function", "function": {"name": "fly"}}"#, #"{"type": "function"}"#, "7", "[]", "{}",
      #"{"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}"#,
      #"{"type": "allowed_tools", "allowed_tools": {"tools": [{"type": "function", "function": {"name": "play_music"}}, 7]}}"#,
    ])
  func unknownChoice(choice: String) async throws {
    try await TestServer.run(ModelSlot(try TinyModel.served(version: 1))) { server in
      let reply = try await server.chat("play music by acdc", ["tool_choice": try JSON.parse(choice)])
      #expect(reply.status == 400)
      #expect(reply.json?["error"]?["param"] == "tool_choice")
      let elsewhere = try await server.chat(
        "play music by acdc",
        [
          "tools": [try #require(TinyModel.tools.arrayValue?[0])],
          "tool_choice": ["type": "function", "function": ["name": "stop_music"]],
        ])
      #expect(elsewhere.status == 400)
    }
  }

  @Test(
    "a request that leaves nothing to call gets no call and is to be escalated, also in a stream",
    arguments: [
      #"{"tool_choice": "none"}"#, #"{"tools": TOOLS, "tool_choice": "none"}"#, #"{"tools": [FLY]}"#,
      #"{"tools": [FLY], "tool_choice": {"type": "function", "function": {"name": "fly"}}}"#,
      #"{"tools": [{"type": "web_search"}, {"name": "play_music", "parameters": {"type": "object"}}]}"#,
    ])
  func nothingToCall(extra: String) async throws {
    let fly = #"{"type": "function", "function": {"name": "fly", "parameters": {"type": "object"}}}"#
    let extra = try #require(
      try JSON.parse(
        extra.replacingOccurrences(of: "TOOLS", with: TinyModel.tools.text)
          .replacingOccurrences(of: "FLY", with: fly)
      ).objectValue)
    try await TestServer.run(ModelSlot(try TinyModel.served(version: 1)), threshold: 0) { server in
      let whole = try await server.chat("play something by Björk", extra)
      #expect(whole.status == 200)
      let choice = whole.json?["choices"]?[0]
      let sentence = try #require(choice?["message"]?["content"]?.stringValue)
      #expect(sentence == "No function could be called: the request allows none of the model's functions.")
      #expect(choice?["message"]?["tool_calls"] == nil)
      #expect(choice?["finish_reason"] == "stop")
      #expect(whole.json?["retort"]?["escalate"] == true)
      var streamed = extra
      streamed["stream"] = true
      let stream = try await server.chat("play something by Björk", streamed)
      for reply in [whole, stream] { #expect(reply.headers.first(name: "x-retort-escalate") == "true") }
      #expect(stream.status == 200)
      #expect(stream.text.contains(sentence) && stream.text.contains(#""escalate":true"#))
      #expect(!stream.text.contains("tool_calls"))
    }
  }
}
