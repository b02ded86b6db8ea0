/// What was taken out of a model.
public struct Pruning: Sendable, Hashable {
  /// How: "ffn-activation", "structured-activation", the same with "-gradient", or another bounded name; 1 to 64 bytes.
  public var method: String
  /// The feed-forward width before.
  public var feedForwardBefore: Int
  /// The feed-forward width after.
  public var feedForwardAfter: Int
  /// Steps of recovery after it.
  public var recoverySteps: Int
  /// The other sizes that changed, by axis (`layers`, `hidden`, `kv`, `vocabulary`): before and after.
  public var axes: [String: Change] = [:]
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// What one size was and is.
  public struct Change: Sendable, Hashable {
    /// Before.
    public var before: Int
    /// After; at most as much.
    public var after: Int
    /// Fields that this version does not know.
    public var extra: JSONObject = [:]

    /// A change.
    public init(before: Int, after: Int) {
      self.before = before
      self.after = after
    }
  }

  /// A pruning.
  public init(
    method: String, feedForwardBefore: Int, feedForwardAfter: Int, recoverySteps: Int, axes: [String: Change] = [:]
  ) {
    self.axes = axes
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
    if let axes = fields.take("axes") { self.axes = try Self.axes(axes) }
    extra = fields.rest
  }

  private static func axes(_ json: JSON) throws(TopicError) -> [String: Change] {
    guard let object = json.objectValue, object.count <= 16 else {
      throw TopicError(.type, in: "pruning", at: "axes", expected: "an object of at most 16 axes", found: json.typeName)
    }
    var axes: [String: Change] = [:]
    for (name, value) in object {
      var fields = try Fields(value, in: "pruning axis \(name.prefix(64))")
      let before = try fields.int("before", 1...(1 << 31))
      var change = Change(before: before, after: try fields.int("after", 1...Int64(before)))
      change.extra = fields.rest
      axes[name] = change
    }
    return axes
  }

  /// The pruning as JSON.
  public var json: JSON {
    var known: JSONObject = [
      "method": .string(method), "feed_forward_before": .integer(Int64(feedForwardBefore)),
      "feed_forward_after": .integer(Int64(feedForwardAfter)), "recovery_steps": .integer(Int64(recoverySteps)),
    ]
    if !axes.isEmpty {
      var object = JSONObject()
      for (name, change) in axes.sorted(by: { $0.key < $1.key }) {
        let known: JSONObject = ["before": .integer(Int64(change.before)), "after": .integer(Int64(change.after))]
        object[name] = .object(known.merging(change.extra))
      }
      known["axes"] = .object(object)
    }
    return .object(known.merging(extra))
  }
}
