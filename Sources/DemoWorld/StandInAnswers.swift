internal import Topics

/// What the stand-in says to a chat completion request: a pure function of the request and the attempt.
struct StandInAnswers: Sendable {
  static let model = "stand-in-teacher"
  /// Functions for which the stand-in asks for the room's devices first.
  private static let lookingUp: Set<String> = ["set_light", "set_temperature", "set_blinds"]

  struct Answer: Sendable {
    var status = 200
    var body: [UInt8]
    var retryAfter: Int?
    var delay: Duration?
    var fault: FaultPlan.Fault?
    var isLookup = false
  }

  let plan: FaultPlan

  /// The answer to a request body; `attempt` counts from 0.
  func answer(to body: JSON, attempt: Int) -> Answer {
    guard let messages = body["messages"]?.arrayValue, !messages.isEmpty, let tools = body["tools"]?.arrayValue else {
      return failure(400, "messages and tools are required")
    }
    let said = messages.filter { $0["role"] == "user" }.compactMap { $0["content"]?.stringValue }
    let known = said.reversed().lazy.compactMap { text in RequestGrammar.call(for: text).map { (text, $0) } }.first
    guard let (text, truth) = known else {
      return completion(content: "I can only help with this home.", call: nil, messages: messages)
    }
    let names = tools.compactMap { $0["function"]?["name"]?.stringValue }
    let fault = plan.fault(for: text)
    let isFirstTurn = !messages.contains { $0["role"] == "tool" }
    if fault == .rateLimited, attempt == 0, isFirstTurn {
      var answer = failure(429, "rate limit reached")
      answer.retryAfter = plan.rates.retryAfterSeconds
      answer.fault = fault
      return answer
    }
    if isFirstTurn, Self.lookingUp.contains(truth.name), names.contains("find_devices"),
      let room = truth.arguments["room"]
    {
      var answer = completion(
        content: nil, call: ("find_devices", JSON.object(["room": room]).text), messages: messages)
      answer.isLookup = true
      return answer
    }
    return final(text, truth, fault, messages)
  }

  private func final(_ text: String, _ truth: Call, _ fault: FaultPlan.Fault?, _ messages: [JSON]) -> Answer {
    var answer: Answer
    let arguments = JSON.object(truth.arguments).text
    switch fault {
    case .wrong:
      let wrong = plan.wrongCall(for: text, truth: truth)
      answer = completion(content: nil, call: (wrong.name, JSON.object(wrong.arguments).text), messages: messages)
    case .malformed(.cutOff):
      answer = completion(content: nil, call: (truth.name, arguments), messages: messages)
      answer.body = Array(answer.body.prefix(answer.body.count / 2))
    case .malformed(.words):
      answer = completion(content: "Certainly, consider it done!", call: nil, messages: messages)
    case .malformed(.brokenArguments):
      answer = completion(content: nil, call: (truth.name, String(arguments.dropLast())), messages: messages)
    case .malformed(.unknownFunction):
      answer = completion(content: nil, call: ("do_" + truth.name, arguments), messages: messages)
    case .slow, .rateLimited, nil:
      answer = completion(content: nil, call: (truth.name, arguments), messages: messages)
      if fault == .slow { answer.delay = plan.rates.delay }
    }
    answer.fault = fault
    return answer
  }

  private func completion(content: String?, call: (name: String, arguments: String)?, messages: [JSON]) -> Answer {
    var message: JSONObject = ["role": "assistant", "content": content.map { .string($0) } ?? .null]
    let prompt = JSON.array(messages).bytes
    let id = Digest.sha256(prompt).hex.prefix(24)
    if let call {
      message["tool_calls"] = [
        [
          "id": .string("call_\(id)"), "type": "function",
          "function": ["name": .string(call.name), "arguments": .string(call.arguments)],
        ]
      ]
    }
    // About four bytes a token, as for English.
    let promptTokens = Int64(prompt.count / 4 + 1)
    let completionTokens = Int64(JSON.object(message).bytes.count / 4 + 1)
    let body: JSON = [
      "id": .string("chatcmpl-\(id)"), "object": "chat.completion", "created": 0, "model": .string(Self.model),
      "choices": [
        [
          "index": 0, "message": .object(message), "finish_reason": call == nil ? "stop" : "tool_calls",
          "logprobs": nil,
        ]
      ],
      "usage": [
        "prompt_tokens": .integer(promptTokens), "completion_tokens": .integer(completionTokens),
        "total_tokens": .integer(promptTokens + completionTokens),
      ],
    ]
    return Answer(body: body.bytes)
  }

  func failure(_ status: Int, _ message: String) -> Answer {
    let body: JSON = ["error": ["message": .string(message), "type": "stand_in"]]
    return Answer(status: status, body: body.bytes)
  }
}
