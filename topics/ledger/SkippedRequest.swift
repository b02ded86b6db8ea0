/// A request that the labelling policy left out.
public struct SkippedRequest: Sendable, Hashable {
  /// Its partition.
  public var partition: Int
  /// Its offset.
  public var offset: Int64
  /// Why, as a bounded code.
  public var reason: String
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// A skipped request.
  public init(partition: Int, offset: Int64, reason: String) {
    self.partition = partition
    self.offset = offset
    self.reason = reason
  }

  /// Reads `{"partition", "offset", "reason"}`.
  ///
  /// - Throws: `TopicError` when a field is missing or wrong.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "skipped")
    partition = try fields.int("partition", 0...Int64(Int32.max))
    offset = try fields.integer("offset")
    reason = try fields.string("reason", 1...128)
    extra = fields.rest
  }

  /// The place and reason as `{"partition", "offset", "reason"}`.
  public var json: JSON {
    let known: JSONObject = [
      "partition": .integer(Int64(partition)), "offset": .integer(offset), "reason": .string(reason),
    ]
    return .object(known.merging(extra))
  }
}
