/// How many requests of a transaction had one outcome for one reason.
public struct OutcomeCount: Sendable, Hashable {
  /// What became of them.
  public var outcome: RequestOutcome
  /// Why, as a bounded code; required unless they were sampled.
  public var reason: String?
  /// How many.
  public var count: Int
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// A count.
  public init(outcome: RequestOutcome, reason: String? = nil, count: Int) {
    self.outcome = outcome
    self.reason = reason
    self.count = count
  }

  /// Reads `{"outcome", "reason", "count"}`.
  ///
  /// - Throws: `TopicError` when a field is missing or wrong.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "outcome")
    outcome = try fields.word("outcome", as: RequestOutcome.self)
    reason = try fields.optionalString("reason", 1...128)
    if outcome != .sampled, reason == nil {
      throw TopicError(.missing, in: "outcome", at: "reason", expected: "a reason", found: "nothing")
    }
    count = try fields.int("count", 0...1_000_000)
    extra = fields.rest
  }

  /// The count as `{"outcome", "reason", "count"}`.
  public var json: JSON {
    var object: JSONObject = ["outcome": .string(outcome.rawValue)]
    object["reason"] = reason.map { .string($0) }
    object["count"] = .integer(Int64(count))
    object.merge(extra)
    return .object(object)
  }
}
