/// The outcome of an answer in production.
public struct FeedbackRecord: TopicValue, Hashable {
  /// The `schema` header of the records.
  public static let schemaName = "feedback/1.0"

  /// The topic's settings.
  public static let topic = TopicSpecification(
    name: "feedback", key: "request id", partitions: 4, partitionsAreFixed: false, cleanup: [.delete],
    retentionMilliseconds: 30 * 86_400_000, schemaName: schemaName, schema: PackageResources.feedback_schema_json)

  /// The request that was answered.
  public var requestID: String
  /// How good the answer was, 0 (wrong) to 1 (right).
  public var score: Double
  /// The answer that was judged; default the one that stands in the request.
  public var answer: Call?
  /// The call that would have been right.
  public var call: Call?
  /// Who says so.
  public var producer: String?
  /// A remark, at most 4,096 bytes.
  public var comment: String?
  /// When, RFC 3339.
  public var time: String?
  /// Fields that this version does not know.
  public var extra: JSONObject

  /// Feedback to one request.
  public init(
    requestID: String, score: Double, answer: Call? = nil, call: Call? = nil, producer: String? = nil,
    comment: String? = nil, time: String? = nil, extra: JSONObject = [:]
  ) {
    self.requestID = requestID
    self.score = score
    self.answer = answer
    self.call = call
    self.producer = producer
    self.comment = comment
    self.time = time
    self.extra = extra
  }

  /// Reads feedback.
  ///
  /// - Throws: `TopicError` when a field is wrong.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "feedback")
    requestID = try fields.string("request_id")
    score = try fields.number("score", 0...1)
    answer = try fields.optionalNested("answer") { (json) throws(TopicError) -> Call in try Call(json: json) }
    call = try fields.optionalNested("call") { (json) throws(TopicError) -> Call in try Call(json: json) }
    producer = try fields.optionalString("producer", 1...512)
    comment = try fields.optionalString("comment", 0...4_096)
    time = try fields.optionalTime("time")
    extra = fields.rest
  }

  /// The record's value.
  public var json: JSON {
    var object: JSONObject = ["request_id": .string(requestID), "score": .number(score)]
    object["answer"] = answer?.json
    object["call"] = call?.json
    object["producer"] = producer.map { .string($0) }
    object["comment"] = comment.map { .string($0) }
    object["time"] = time.map { .string($0) }
    object.merge(extra)
    return .object(object)
  }
}
