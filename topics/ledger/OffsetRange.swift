/// A range of one partition's offsets.
public struct OffsetRange: Sendable, Hashable {
  /// The partition, from 0.
  public var partition: Int
  /// The first offset.
  public var from: Int64
  /// One past the last offset.
  public var to: Int64
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// The offsets `from` up to but not including `to`.
  public init(partition: Int, from: Int64, to: Int64) {
    self.partition = partition
    self.from = from
    self.to = to
  }

  /// Reads `{"partition", "from", "to"}`.
  ///
  /// - Throws: `TopicError` when a field is missing, or the range ends before it starts.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "range")
    partition = try fields.int("partition", 0...Int64(Int32.max))
    from = try fields.integer("from")
    to = try fields.integer("to")
    guard from <= to else { throw fields.invalid("to", "an offset from \(from)", "\(to)") }
    extra = fields.rest
  }

  /// The range as `{"partition", "from", "to"}`.
  public var json: JSON {
    let known: JSONObject = ["partition": .integer(Int64(partition)), "from": .integer(from), "to": .integer(to)]
    return .object(known.merging(extra))
  }
}
