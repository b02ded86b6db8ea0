/// Where a record lies in the log.
public struct RecordCoordinates: Sendable, Hashable {
  /// The topic, with the deployment's prefix.
  public var topic: String
  /// The partition, from 0.
  public var partition: Int
  /// The offset, from 0.
  public var offset: Int64
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// A place in the log.
  public init(topic: String, partition: Int, offset: Int64) {
    self.topic = topic
    self.partition = partition
    self.offset = offset
  }

  /// Reads `{"topic", "partition", "offset"}`.
  ///
  /// - Throws: `TopicError` when a field is missing or out of range.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "coordinates")
    topic = try fields.string("topic", 1...249)
    partition = try fields.int("partition", 0...Int64(Int32.max))
    offset = try fields.integer("offset")
    extra = fields.rest
  }

  /// The place as `{"topic", "partition", "offset"}`.
  public var json: JSON {
    let known: JSONObject = [
      "topic": .string(topic), "partition": .integer(Int64(partition)), "offset": .integer(offset),
    ]
    return .object(known.merging(extra))
  }
}
