/// What was taken out of a model.
public struct Pruning: Sendable, Hashable {
  /// How: "feed_forward_activation", or another bounded name; 1 to 64 bytes.
  public var method: String
  /// The feed-forward width before.
  public var feedForwardBefore: Int
  /// The feed-forward width after.
  public var feedForwardAfter: Int
  /// Steps of recovery after it.
  public var recoverySteps: Int
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// A pruning.
  public init(method: String, feedForwardBefore: Int, feedForwardAfter: Int, recoverySteps: Int) {
    self.method = method
    self.feedForwardBefore = feedForwardBefore
    self.feedForwardAfter = feedForwardAfter
    self.recoverySteps = recoverySteps
  }

  /// Reads the pruning.
  ///
  /// - Throws: `TopicError` when a field is missing, or the width grew.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "pruning")
    method = try fields.string("method", 1...64)
    feedForwardBefore = try fields.int("feed_forward_before", 1...(1 << 31))
    feedForwardAfter = try fields.int("feed_forward_after", 1...Int64(feedForwardBefore))
    recoverySteps = try fields.int("recovery_steps")
    extra = fields.rest
  }

  /// The pruning as JSON.
  public var json: JSON {
    let known: JSONObject = [
      "method": .string(method), "feed_forward_before": .integer(Int64(feedForwardBefore)),
      "feed_forward_after": .integer(Int64(feedForwardAfter)), "recovery_steps": .integer(Int64(recoverySteps)),
    ]
    return .object(known.merging(extra))
  }
}
