/// Where an appended record went.
public struct RecordPosition: Sendable, Hashable {
  /// The topic and partition.
  public var topicPartition: TopicPartition
  /// The offset it has there.
  public var offset: Int64
  /// The timestamp it has, in milliseconds since 1970.
  public var timestamp: Int64

  /// A position.
  public init(topicPartition: TopicPartition, offset: Int64, timestamp: Int64) {
    self.topicPartition = topicPartition
    self.offset = offset
    self.timestamp = timestamp
  }
}
