/// One message of a conversation in the shape of OpenAI's chat API.
public struct ChatMessage: Sendable, Hashable {
  /// Who speaks.
  public enum Role: String, Sendable, CaseIterable {
    /// Instructions.
    case system
    /// The person or service that asks.
    case user
    /// The model.
    case assistant
    /// The result of a tool call.
    case tool
  }

  /// Who speaks.
  public var role: Role
  /// The text; empty where the message only calls tools.
  public var content: String
  /// The calls of an assistant's message, at most 128.
  public var toolCalls: [ToolCall]
  /// For a tool's message: the id of the call that it answers.
  public var toolCallID: String?
  /// Fields that this version does not know.
  public var extra: JSONObject

  /// A message.
  public init(
    role: Role, content: String, toolCalls: [ToolCall] = [], toolCallID: String? = nil, extra: JSONObject = [:]
  ) {
    self.role = role
    self.content = content
    self.toolCalls = toolCalls
    self.toolCallID = toolCallID
    self.extra = extra
  }

  /// A user's message.
  public static func user(_ text: String) -> ChatMessage { ChatMessage(role: .user, content: text) }

  /// A system message.
  public static func system(_ text: String) -> ChatMessage { ChatMessage(role: .system, content: text) }

  /// Reads a message. The content may be a string, a list of text parts and refusals (which are joined), or, for an assistant or
  /// a tool, null.
  /// The role "developer" is read as "system".
  ///
  /// - Throws: `TopicError` when a field has another type, or a part is not text.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "message")
    if fields.rest["role"] == "developer" {
      _ = fields.take("role")
      role = .system
    } else {
      role = try fields.word("role", as: Role.self)
    }
    let calls = fields.rest["tool_calls"] ?? .null
    if calls.isNull { _ = fields.take("tool_calls") }
    toolCalls =
      try fields.optionalArray("tool_calls", 0...128) { (json) throws(TopicError) -> ToolCall in
        try ToolCall(json: json)
      } ?? []
    toolCallID = try fields.optionalString("tool_call_id")
    content = try Self.content(fields.take("content"), role: role)
    extra = fields.rest
  }

  private static func content(_ value: JSON?, role: Role) throws(TopicError) -> String {
    switch value {
    case .string(let text): return text
    case .array(let parts):
      var text = ""
      for (index, part) in parts.enumerated() {
        let isRefusal = part["type"] == "refusal"
        guard case .string(let piece)? = part[isRefusal ? "refusal" : "text"],
          isRefusal || part["type"] == "text" || part["type"] == "input_text"
        else {
          throw TopicError(
            .value, in: "message", at: "content[\(index)]", expected: "a text part", found: part.typeName)
        }
        text += piece
      }
      return text
    case .null, nil:
      guard role == .assistant || role == .tool else {
        throw TopicError(.missing, in: "message", at: "content", expected: "a string", found: "nothing")
      }
      return ""
    case let other?:
      throw TopicError(.type, in: "message", at: "content", expected: "a string", found: other.typeName)
    }
  }

  /// The message in OpenAI's shape.
  public var json: JSON {
    var object: JSONObject = ["role": .string(role.rawValue)]
    object["content"] = content.isEmpty && !toolCalls.isEmpty ? .null : .string(content)
    if !toolCalls.isEmpty { object["tool_calls"] = .array(toolCalls.map(\.json)) }
    if let toolCallID { object["tool_call_id"] = .string(toolCallID) }
    object.merge(extra)
    return .object(object)
  }
}
