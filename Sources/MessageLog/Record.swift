/// A record as read from a log.
public struct Record: Sendable, Hashable {
  /// The topic it was appended to.
  public var topic: String
  /// The partition within the topic.
  public var partition: Int
  /// Its place in the partition; offsets grow, are never reused, and may have holes.
  public var offset: Int64
  /// Milliseconds since 1970, set by the writer or, where the topic says so, by the log.
  public var timestamp: Int64
  /// The key, which chose the partition and which compaction goes by; nil for none.
  public var key: [UInt8]?
  /// The value; nil is a tombstone, which erases the key in a compacted topic.
  public var value: [UInt8]?
  /// Headers in the writer's order.
  public var headers: [Header]

  /// A record with all that belongs to it.
  public init(
    topic: String, partition: Int, offset: Int64, timestamp: Int64, key: [UInt8]?, value: [UInt8]?,
    headers: [Header] = []
  ) {
    self.topic = topic
    self.partition = partition
    self.offset = offset
    self.timestamp = timestamp
    self.key = key
    self.value = value
    self.headers = headers
  }

  /// Where the record stands.
  public var topicPartition: TopicPartition { TopicPartition(topic: topic, partition: partition) }
  /// Whether it erases its key.
  public var isTombstone: Bool { value == nil }
}
