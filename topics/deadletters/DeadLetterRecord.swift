/// A record that could not be worked on: its bytes as they were, where they lay, and why.
public struct DeadLetterRecord: TopicValue, Hashable {
  /// The `schema` header of the records.
  public static let schemaName = "deadletters/1.0"

  /// The topic's settings. A record holds another one in base64, which takes a third more.
  public static let topic = TopicSpecification(
    name: "deadletters", key: "original key", cleanup: [.delete], retentionMilliseconds: 30 * 86_400_000,
    maximumMessageBytes: 24 << 20, schemaName: schemaName, schema: PackageResources.deadletters_schema_json)

  /// Where the record lay.
  public var source: RecordCoordinates
  /// The record's own time, milliseconds since 1970.
  public var timestamp: Int64?
  /// Its key's bytes.
  public var key: [UInt8]?
  /// Its value's bytes; nil for a tombstone.
  public var value: [UInt8]?
  /// Its headers in order; values are base64 in JSON.
  public var headers: [DeadLetterHeader]
  /// The error's bounded code.
  public var code: String
  /// The error as a sentence, at most 4,096 bytes.
  public var message: String
  /// How often it was tried, from 1.
  public var attempts: Int
  /// The teacher's raw answer, where that was what failed; at most 64 KiB.
  public var answer: String?
  /// Whether key, value and headers hold only the beginnings of what they were, because together they exceeded the topic's limit.
  public private(set) var isCut = false
  /// When it was given up, RFC 3339.
  public var time: String?
  /// Fields that this version does not know.
  public var extra: JSONObject

  /// A dead letter; what is too long in `message` and `answer` is cut.
  public init(
    source: RecordCoordinates, timestamp: Int64? = nil, key: [UInt8]?, value: [UInt8]?,
    headers: [DeadLetterHeader] = [], code: String, message: String, attempts: Int = 1, answer: String? = nil,
    time: String? = nil
  ) {
    self.source = source
    self.timestamp = timestamp
    self.key = key
    self.value = value
    self.headers = headers
    self.code = code
    self.message = message.shortened(toBytes: 4_096)
    self.attempts = attempts
    self.answer = answer?.shortened(toBytes: 65_536)
    self.time = time
    extra = [:]
  }

  /// The letter with no more than the beginnings of the record's bytes: 64 KiB of key and of value, and no headers.
  public var beginning: DeadLetterRecord {
    var letter = self
    letter.key = key.map { Array($0.prefix(65_536)) }
    letter.value = value.map { Array($0.prefix(65_536)) }
    letter.headers = []
    letter.isCut = true
    return letter
  }

  /// Reads a dead letter.
  ///
  /// - Throws: `TopicError` when a field is wrong.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "deadletters")
    source = try fields.nested("source") { (json) throws(TopicError) -> RecordCoordinates in
      try RecordCoordinates(json: json)
    }
    timestamp = try fields.optionalInteger("timestamp")
    key = try Self.bytes(&fields, "key")
    value = try Self.bytes(&fields, "value")
    headers =
      try fields.optionalArray("headers", 0...1_000) { (json) throws(TopicError) -> DeadLetterHeader in
        try DeadLetterHeader(json: json)
      } ?? []
    code = try fields.string("code", 1...128)
    message = try fields.string("message", 1...4_096)
    attempts = try fields.int("attempts", 1...1_000_000)
    answer = try fields.optionalString("answer", 0...65_536)
    isCut = try fields.optionalBool("cut") ?? false
    time = try fields.optionalTime("time")
    extra = fields.rest
  }

  private static func bytes(_ fields: inout Fields, _ name: String) throws(TopicError) -> [UInt8]? {
    guard let text = try fields.optionalString(name, 0...(24 << 20)) else { return nil }
    guard let bytes = Base64.decode(text) else { throw fields.invalid(name, "base64", "\"\(text.prefix(40))\"") }
    return bytes
  }

  /// The record's value.
  public var json: JSON {
    var object: JSONObject = ["source": source.json]
    object["timestamp"] = timestamp.map { .integer($0) }
    object["key"] = key.map { .string(Base64.encode($0)) }
    object["value"] = value.map { .string(Base64.encode($0)) }
    if !headers.isEmpty { object["headers"] = .array(headers.map(\.json)) }
    object["code"] = .string(code)
    object["message"] = .string(message)
    object["attempts"] = .integer(Int64(attempts))
    object["answer"] = answer.map { .string($0) }
    if isCut { object["cut"] = true }
    object["time"] = time.map { .string($0) }
    object.merge(extra)
    return .object(object)
  }
}
