/// A call inside a chat message, as OpenAI's API has it: with an id and the arguments as the text that was sent.
public struct ToolCall: Sendable, Hashable {
  /// The id that the tool's answer refers to.
  public var id: String
  /// The function's name.
  public var name: String
  /// The arguments as sent: normally, but not surely, a JSON object.
  public var arguments: String
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// A tool call with arguments as text.
  public init(id: String, name: String, arguments: String) {
    self.id = id
    self.name = name
    self.arguments = arguments
  }

  /// A tool call that asks for `call`.
  public init(id: String, call: Call) {
    self.init(id: id, name: call.name, arguments: JSON.object(call.arguments).text)
  }

  /// Reads `{"id", "type": "function", "function": {"name", "arguments"}}`; arguments as text or object.
  ///
  /// - Throws: `TopicError` when the shape is another one.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "tool call")
    id = try fields.optionalString("id") ?? ""
    if let type = try fields.optionalString("type"), type != "function" {
      throw fields.invalid("type", "\"function\"", "\"\(type)\"")
    }
    let function = try fields.nested("function") { (json) throws(TopicError) -> (String, String) in
      var inner = try Fields(json, in: "tool call")
      let name = try inner.string("name", 1...64)
      switch try inner.require("arguments", "a string") {
      case .string(let text): return (name, text)
      case .object(let object): return (name, JSON.object(object).text)
      case let other: throw inner.wrongType("arguments", "a string", other)
      }
    }
    name = function.0
    arguments = function.1
    extra = fields.rest
  }

  /// The call that this asks for.
  ///
  /// - Throws: `TopicError` when the arguments are not a JSON object.
  public func call() throws(TopicError) -> Call {
    Call(name: name, arguments: try Call.arguments(.string(arguments)))
  }

  /// The tool call in OpenAI's shape.
  public var json: JSON {
    let known: JSONObject = [
      "id": .string(id), "type": "function",
      "function": ["name": .string(name), "arguments": .string(arguments)],
    ]
    return .object(known.merging(extra))
  }
}
