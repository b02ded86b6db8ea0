/// The answer that a request already has: by whom, and a call or a message.
public struct RequestResponse: Sendable, Hashable {
  /// Who answered: a model's or a person's name, or the release that `serve` stamped. 1 to 512 bytes.
  public var producer: String
  /// The answer as a call.
  public var call: Call?
  /// The answer as a chat message.
  public var message: ChatMessage?
  /// Fields that this version does not know.
  public var extra: JSONObject

  /// An answer.
  public init(producer: String, call: Call? = nil, message: ChatMessage? = nil, extra: JSONObject = [:]) {
    self.producer = producer
    self.call = call
    self.message = message
    self.extra = extra
  }

  /// Reads `{"producer", "call" | "message"}`.
  ///
  /// - Throws: `TopicError` when the producer, or both call and message, are missing or wrong.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "response")
    producer = try fields.string("producer")
    call = try fields.optionalNested("call") { (json) throws(TopicError) -> Call in try Call(json: json) }
    message = try fields.optionalNested("message") { (json) throws(TopicError) -> ChatMessage in
      try ChatMessage(json: json)
    }
    guard call != nil || message != nil else {
      throw TopicError(.missing, in: "response", at: "call", expected: "a call or a message", found: "neither")
    }
    extra = fields.rest
  }

  /// Reads the body of an OpenAI chat completion: the producer is its model, the message its first choice.
  ///
  /// - Throws: `TopicError` when the body has no model or no message.
  public init(completion json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "response")
    let producer = try fields.string("model")
    let messages = try fields.array("choices", 1...128) { (json) throws(TopicError) -> ChatMessage in
      var choice = try Fields(json, in: "response")
      return try choice.nested("message") { (json) throws(TopicError) -> ChatMessage in try ChatMessage(json: json) }
    }
    self.init(producer: producer, message: messages.first)
  }

  /// The call that was answered: `call`, or the only tool call of the message; nil when there is none or several.
  ///
  /// - Throws: `TopicError` when the arguments of the message's call are not a JSON object.
  public func answeredCall() throws(TopicError) -> Call? {
    if let call { return call }
    guard let calls = message?.toolCalls, calls.count == 1 else { return nil }
    return try calls[0].call()
  }

  /// The answer as `{"producer", "call", "message"}`.
  public var json: JSON {
    var object: JSONObject = ["producer": .string(producer)]
    if let call { object["call"] = call.json }
    if let message { object["message"] = message.json }
    object.merge(extra)
    return .object(object)
  }
}
