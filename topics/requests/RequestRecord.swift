/// A request of the service that Retort learns from: what was asked and, if it was answered, by whom and how.
///
/// Three forms are read: the plain one, a CloudEvent around it, and the log record of an OpenAI-compatible proxy. Written is
/// always the plain one.
public struct RequestRecord: TopicValue, Hashable {
  /// The `schema` header of the records.
  public static let schemaName = "requests/1.0"

  /// The topic's settings.
  public static let topic = TopicSpecification(
    name: "requests", key: "conversation or request id", partitionsAreFixed: false, cleanup: [.delete],
    retentionMilliseconds: 7 * 86_400_000, maximumMessageBytes: 16 << 20, schemaName: schemaName,
    schema: PackageResources.requests_schema_json)

  /// The request's name, 1 to 512 bytes; the same id is the same request.
  public var id: String
  /// The conversation up to the question, 1 to 1,000 messages.
  public var messages: [ChatMessage]
  /// The answer that the service gave, if it is known.
  public var response: RequestResponse?
  /// Anything the service wants to keep with the request.
  public var metadata: JSONObject
  /// When it was asked, RFC 3339.
  public var time: String?
  /// Whether the request came as `text` and is written so again.
  public var isText: Bool
  /// Fields that this version does not know.
  public var extra: JSONObject

  /// A request of several messages.
  public init(
    id: String, messages: [ChatMessage], response: RequestResponse? = nil, metadata: JSONObject = [:],
    time: String? = nil, extra: JSONObject = [:]
  ) {
    self.id = id
    self.messages = messages
    self.response = response
    self.metadata = metadata
    self.time = time
    isText = false
    self.extra = extra
  }

  /// A request that is one text.
  public init(
    id: String, text: String, response: RequestResponse? = nil, metadata: JSONObject = [:], time: String? = nil
  ) {
    self.init(id: id, messages: [.user(text)], response: response, metadata: metadata, time: time)
    isText = true
  }

  /// Reads any of the three forms.
  ///
  /// - Throws: `TopicError` that says which field is wrong.
  public init(json: JSON) throws(TopicError) {
    if json["specversion"] != nil {
      self = try Self.cloudEvent(json)
    } else if json["request"] != nil, json["messages"] == nil, json["text"] == nil {
      self = try Self.logRecord(json)
    } else {
      self = try Self.plain(json, defaultID: nil)
    }
  }

  /// Reads one line of an import: the plain form, or `{"id", "text" | "messages", "call"}` whose call has the producer
  /// "import".
  ///
  /// - Throws: `TopicError` that says which field is wrong.
  public init(imported json: JSON) throws(TopicError) {
    guard case .object(var object) = json, let call = object["call"], object["response"] == nil else {
      self = try RequestRecord(json: json)
      return
    }
    object["call"] = nil
    object["response"] = ["producer": "import", "call": call]
    self = try RequestRecord(json: .object(object))
  }

  /// What the user asked last.
  public var question: String { messages.last { $0.role == .user }?.content ?? messages.last?.content ?? "" }

  /// The W3C trace context of the CloudEvent that the request came in.
  public var traceparent: String? {
    metadata["cloudevent"]?["traceparent"]?.stringValue.flatMap { TraceContext.valid($0) }
  }

  /// The plain form.
  public var json: JSON {
    var object: JSONObject = ["id": .string(id)]
    if isText, messages.count == 1, let message = messages.first {
      object["text"] = .string(message.content)
    } else {
      object["messages"] = .array(messages.map(\.json))
    }
    if let response { object["response"] = response.json }
    if !metadata.isEmpty { object["metadata"] = .object(metadata) }
    if let time { object["time"] = .string(time) }
    object.merge(extra)
    return .object(object)
  }
}

// MARK: The three forms

extension RequestRecord {
  private static func plain(_ json: JSON, defaultID: String?) throws(TopicError) -> RequestRecord {
    var fields = try Fields(json, in: "requests")
    let id: String
    if let given = try fields.optionalString("id", 1...512) {
      id = given
    } else if let defaultID {
      id = defaultID
    } else {
      id = try fields.string("id")
    }
    let text = try fields.optionalString("text", 1...(16 << 20))
    let messages = try fields.optionalArray("messages", 1...1_000) { (json) throws(TopicError) -> ChatMessage in
      try ChatMessage(json: json)
    }
    let response = try fields.optionalNested("response") { (json) throws(TopicError) -> RequestResponse in
      try RequestResponse(json: json)
    }
    let metadata = try fields.optionalObject("metadata") ?? [:]
    let time = try fields.optionalTime("time")
    var record: RequestRecord
    switch (text, messages) {
    case (let text?, nil): record = RequestRecord(id: id, text: text)
    case (nil, let messages?): record = RequestRecord(id: id, messages: messages)
    case (nil, nil):
      throw TopicError(.missing, in: "requests", at: "messages", expected: "messages or text", found: "neither")
    case (_?, _?):
      throw TopicError(.unexpected, in: "requests", at: "text", expected: "messages or text", found: "both")
    }
    record.response = response
    record.metadata = metadata
    record.time = time
    record.extra = fields.rest
    return record
  }

  /// Reference: CloudEvents 1.0.2, JSON event format.
  private static func cloudEvent(_ json: JSON) throws(TopicError) -> RequestRecord {
    var fields = try Fields(json, in: "requests")
    let version = try fields.string("specversion", 1...16)
    guard version.hasPrefix("1.") else {
      throw fields.invalid("specversion", "a CloudEvent of version 1", "\"\(version)\"")
    }
    let id = try fields.string("id")
    let source = try fields.string("source", 1...2_048)
    let type = try fields.string("type", 1...512)
    let time = try fields.optionalTime("time")
    let content = try fields.optionalString("datacontenttype", 0...256) ?? "application/json"
    let encoded = try fields.optionalString("data_base64", 0...(24 << 20))
    if let encoded {
      guard fields.rest["data"] == nil else {
        throw TopicError(.unexpected, in: "requests", at: "data_base64", expected: "data or data_base64", found: "both")
      }
      fields.put("data", try decoded(encoded, content))
    }
    let data = try fields.nested("data") { (json) throws(TopicError) -> RequestRecord in
      if case .string(let text) = json { return try plain(["text": .string(text)], defaultID: id) }
      if json["request"] != nil, json["messages"] == nil { return try logRecord(json) }
      return try plain(json, defaultID: id)
    }
    var record = data
    record.time = data.time ?? time
    var event: JSONObject = ["id": .string(id), "source": .string(source), "type": .string(type)]
    event.merge(fields.rest)
    record.metadata["cloudevent"] = .object(event)
    return record
  }

  /// The data of an event in base64: text, or JSON.
  private static func decoded(_ text: String, _ content: String) throws(TopicError) -> JSON {
    guard let bytes = Base64.decode(text) else {
      throw TopicError(
        .value, in: "requests", at: "data_base64", expected: "base64", found: "\"\(text.prefix(40))\"")
    }
    if content.lowercased().hasPrefix("text/") { return .string(String(decoding: bytes, as: UTF8.self)) }
    do throws(JSONError) {
      return try JSON.parse(bytes)
    } catch {
      throw TopicError(
        .json, in: "requests", at: "data_base64", expected: "JSON, as datacontenttype says", found: error.description)
    }
  }

  /// `{timestamp, workload_id, client_id, request, response}` with OpenAI bodies.
  private static func logRecord(_ json: JSON) throws(TopicError) -> RequestRecord {
    var fields = try Fields(json, in: "requests")
    let time = try logTime(&fields)
    var metadata: JSONObject = [:]
    for name in ["workload_id", "client_id"] {
      if let text = try fields.optionalString(name, 0...512) { metadata[name] = .string(text) }
    }
    let messages = try fields.nested("request") { (json) throws(TopicError) -> [ChatMessage] in
      var body = try Fields(json, in: "requests")
      return try body.array("messages", 1...1_000) { (json) throws(TopicError) -> ChatMessage in
        try ChatMessage(json: json)
      }
    }
    let response = try fields.optionalNested("response") { (json) throws(TopicError) -> RequestResponse? in
      // A call that failed is logged with the error: it is a request without an answer.
      let isAnswer = !json.isNull && (json["error"] == nil || json["choices"] != nil)
      return isAnswer ? try RequestResponse(completion: json) : nil
    }
    let id: String
    if case .string(let text)? = json["response"]?["id"], (1...512).contains(text.utf8.count) {
      id = text
    } else {
      id = "log-" + Digest.sha256(json.canonical).hex.prefix(32)
    }
    if case .object(var own)? = fields.rest["metadata"] {
      _ = fields.take("metadata")
      own.merge(metadata)
      metadata = own
    }
    // In the plain form, in which a request goes on, these say something else.
    for name in ["id", "text", "metadata", "time"] {
      if let value = fields.take(name), metadata[name] == nil { metadata[name] = value }
    }
    var record = RequestRecord(id: id, messages: messages, metadata: metadata, time: time)
    record.response = response ?? nil
    record.extra = fields.rest
    return record
  }

  /// The time of a log record: seconds since 1970, or text.
  private static func logTime(_ fields: inout Fields) throws(TopicError) -> String? {
    guard let value = fields.rest["timestamp"] else { return nil }
    if case .string = value { return try fields.optionalTime("timestamp") }
    let seconds = try fields.number("timestamp", 0...253_402_300_799)
    return RFC3339.text(milliseconds: Int64((seconds * 1_000).rounded()))
  }
}
