import HTTPTypes
import Inference
import Topics

/// An answer in the shape of OpenAI's chat completions, whole or as a stream of chunks.
struct ChatCompletion: Sendable {
  private static let argumentPiece = 48

  let id: String
  let callID: String
  let created: Int64
  let answer: Answer
  let model: ServedModel
  /// From which confidence on an answer is sure; nil where nobody knows.
  let threshold: Double?
  /// Whether the LLM should be asked instead: there is no call, or it is not sure enough, or nothing says how sure is enough, or the
  /// request is not one that the model can answer.
  let escalates: Bool

  /// - Parameters:
  ///   - isWithinTheModel: see ``ChatRequest/Scope``.
  ///   - seconds: now, in seconds since 1970.
  init(answer: Answer, model: ServedModel, threshold: Double?, isWithinTheModel: Bool, seconds: Int64) {
    let isSure = threshold.map { answer.confidence >= $0 } ?? false
    self.threshold = threshold
    escalates = answer.call == nil || !isSure || !isWithinTheModel
    self.answer = answer
    self.model = model
    created = seconds
    id = "chatcmpl-" + Self.randomName()
    callID = "call_" + Self.randomName()
  }

  static func randomName() -> String {
    var text = String(UInt64.random(in: 0...UInt64.max), radix: 16)
    text = String(repeating: "0", count: 16 - text.count) + text
    return text + String(UInt32.random(in: 0x1000_0000...UInt32.max), radix: 16)
  }

  /// What the assistant says where it has no call.
  private var sentence: String { "No function could be called: \(answer.invalidReason ?? "there is no answer")." }

  /// The assistant's message.
  var message: ChatMessage {
    guard let call = answer.call else { return ChatMessage(role: .assistant, content: sentence) }
    return ChatMessage(role: .assistant, content: "", toolCalls: [ToolCall(id: callID, call: call)])
  }

  /// A call of which the model is not sure at all was cut off.
  private var finishReason: JSON { answer.call == nil ? "stop" : answer.confidence == 0 ? "length" : "tool_calls" }

  private var usage: JSON {
    let (prompt, completion) = (Int64(answer.promptTokens), Int64(answer.tokens))
    return [
      "prompt_tokens": .integer(prompt), "completion_tokens": .integer(completion),
      "total_tokens": .integer(prompt + completion),
    ]
  }

  /// Which release answered, and how sure it was.
  private var retort: JSON {
    [
      "version": model.version.map { .integer(Int64($0)) } ?? .null, "epoch": model.epoch.map { .integer($0) } ?? .null,
      "sha256": .string(model.digest.hex), "confidence": .number(answer.confidence),
      "threshold": threshold.map { .number($0) } ?? .null, "escalate": .bool(escalates),
    ]
  }

  private func envelope(_ kind: JSON) -> JSONObject {
    [
      "id": .string(id), "object": kind, "created": .integer(created), "model": .string(model.name),
      "system_fingerprint": .string("fp_" + model.digest.hex.prefix(12)),
    ]
  }

  /// What clients that drop fields they do not know, or read a stream, can go by: version, confidence, and whether to escalate.
  var headers: [(HTTPField.Name, String)] {
    let values = [
      ("X-Retort-Version", model.version.map(String.init)), ("X-Retort-Confidence", "\(answer.confidence)"),
      ("X-Retort-Escalate", "\(escalates)"),
    ]
    return values.compactMap { name, value in
      guard let name = HTTPField.Name(name), let value else { return nil }
      return (name, value)
    }
  }

  /// The body of an answer in one piece.
  var json: JSON {
    var object = envelope("chat.completion")
    var said = message.json
    if case .object(var fields) = said {
      fields["refusal"] = .null
      said = .object(fields)
    }
    object["choices"] = [["index": 0, "message": said, "logprobs": .null, "finish_reason": finishReason]]
    object["usage"] = usage
    object["retort"] = retort
    return .object(object)
  }

  /// The bodies of the chunks of a stream, without `[DONE]`: role; the call's name; its arguments in pieces; why it ends; usage.
  func chunks(includingUsage: Bool) -> [JSON] {
    var deltas: [JSON] = []
    if let call = answer.call {
      deltas.append(["role": "assistant", "content": .null])
      deltas.append([
        "tool_calls": [
          [
            "index": 0, "id": .string(callID), "type": "function",
            "function": ["name": .string(call.name), "arguments": ""],
          ]
        ]
      ])
      for piece in Self.pieces(of: JSON.object(call.arguments).text) {
        deltas.append(["tool_calls": [["index": 0, "function": ["arguments": .string(piece)]]]])
      }
    } else {
      deltas.append(["role": "assistant", "content": ""])
      deltas.append(["content": .string(sentence)])
    }
    var chunks = deltas.map { chunk($0, finish: .null, includingUsage) }
    guard case .object(var last) = chunk([:], finish: finishReason, includingUsage) else { return chunks }
    last["retort"] = retort
    chunks.append(.object(last))
    if includingUsage {
      var object = envelope("chat.completion.chunk")
      object["choices"] = []
      object["usage"] = usage
      chunks.append(.object(object))
    }
    return chunks
  }

  private func chunk(_ delta: JSON, finish: JSON, _ includesUsage: Bool) -> JSON {
    var object = envelope("chat.completion.chunk")
    object["choices"] = [["index": 0, "delta": delta, "logprobs": .null, "finish_reason": finish]]
    if includesUsage { object["usage"] = .null }
    return .object(object)
  }

  private static func pieces(of text: String) -> [String] {
    var rest = Substring(text)
    var pieces: [String] = []
    while !rest.isEmpty {
      pieces.append(String(rest.prefix(argumentPiece)))
      rest = rest.dropFirst(argumentPiece)
    }
    return pieces
  }
}
