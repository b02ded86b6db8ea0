/// A call that was made in answer to a request, and what somebody who may judge says of it: production, by feedback, or the
/// external verifier.
public struct JudgedCall: Sendable, Hashable {
  /// The most that a sample carries.
  public static let limit = 64

  /// The call, whoever made it.
  public var call: Call
  /// How good it is, 0 (wrong) to 1 (right).
  public var score: Double
  /// Who says so.
  public var producer: String

  /// A judgement.
  public init(call: Call, score: Double, producer: String) {
    self.call = call
    self.score = score
    self.producer = producer
  }

  /// Reads `{"call", "score", "producer"}`.
  ///
  /// - Throws: `TopicError` when a field is missing or wrong.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "judged")
    call = try fields.nested("call") { (json) throws(TopicError) -> Call in try Call(json: json) }
    score = try fields.number("score", 0...1)
    producer = try fields.string("producer", 1...512)
    try fields.finish()
  }

  /// The judgement as JSON.
  public var json: JSON {
    ["call": call.json, "score": .number(score), "producer": .string(producer)]
  }
}
