package import Topics

/// One turn of the teacher, read from a chat completion with every bound checked.
package struct ChatAnswer: Sendable {
  /// A call in it. `arguments` is nil when they were no JSON object.
  package struct ToolCall: Sendable {
    package let id: String
    package let name: String
    package let arguments: JSONObject?
    package let rawArguments: String
  }

  package let content: String?
  package let refusal: String?
  package let calls: [ToolCall]
  package let finishReason: String?
  package let usage: TokenUsage
  package let logprobs: JSON?
  /// The message as it came, for dead letters.
  package let raw: String

  package static let maximumCalls = 32
  package static let maximumArgumentBytes = 256 << 10
  package static let maximumNameBytes = 256
  package static let maximumDepth = 32

  /// Reads a response body.
  ///
  /// - Throws: `Rejection` with `malformed_answer`.
  package init(body: [UInt8]) throws(Rejection) {
    let json: JSON
    do { json = try JSON.parse(body, maximumDepth: 64, maximumBytes: body.count) } catch {
      throw Self.malformed("the body is no JSON: \(error)", body)
    }
    guard let choice = json["choices"]?[0], let message = choice["message"], message.objectValue != nil else {
      throw Self.malformed("the body has no choices[0].message", body)
    }
    raw = message.text
    usage = TokenUsage(answer: json["usage"])
    finishReason = choice["finish_reason"]?.stringValue
    logprobs = choice["logprobs"]?.objectValue.map { .object($0) }
    content = Self.text(of: message["content"])
    refusal = message["refusal"]?.stringValue
    var calls: [ToolCall] = []
    if let list = message["tool_calls"], list != .null {
      guard let entries = list.arrayValue, entries.count <= Self.maximumCalls else {
        throw Self.malformed("tool_calls is no array of at most \(Self.maximumCalls) calls", body)
      }
      for (index, entry) in entries.enumerated() { calls.append(try Self.call(entry, index, body)) }
    }
    self.calls = calls
  }

  private static func call(_ entry: JSON, _ index: Int, _ body: [UInt8]) throws(Rejection) -> ToolCall {
    guard let function = entry["function"], let name = function["name"]?.stringValue,
      !name.isEmpty, name.utf8.count <= maximumNameBytes
    else { throw malformed("tool_calls[\(index)] names no function", body) }
    let id = entry["id"]?.stringValue.map { String($0.prefix(200)) } ?? "call_\(index)"
    // Some endpoints send the arguments as an object instead of a string of JSON.
    if let object = function["arguments"]?.objectValue {
      let raw = JSON.object(object).text
      guard raw.utf8.count <= maximumArgumentBytes else {
        throw malformed("the arguments of \(name) are too large", body)
      }
      return ToolCall(id: id, name: name, arguments: object, rawArguments: raw)
    }
    // A call without arguments often has "" there, null, or nothing at all.
    let given = function["arguments"] ?? .null
    guard let text = given.isNull ? "" : given.stringValue, text.utf8.count <= maximumArgumentBytes else {
      throw malformed("the arguments of \(name) are no string of at most \(maximumArgumentBytes) bytes", body)
    }
    let parsed = text.isEmpty ? .object([:]) : try? JSON.parse(text, maximumDepth: maximumDepth)
    return ToolCall(id: id, name: name, arguments: parsed?.objectValue, rawArguments: text)
  }

  /// A content that is a string, or the text parts of a list.
  private static func text(of content: JSON?) -> String? {
    if let text = content?.stringValue { return text }
    guard let parts = content?.arrayValue else { return nil }
    return parts.compactMap { $0["text"]?.stringValue }.joined()
  }

  private static func malformed(_ found: String, _ body: [UInt8]) -> Rejection {
    Rejection(
      code: .malformedAnswer, message: "expected a chat completion, but \(found)",
      rawAnswer: String(decoding: body.prefix(Rejection.maximumRawAnswerBytes), as: UTF8.self))
  }
}
