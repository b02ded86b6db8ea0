/// One partition of one topic: the unit of order, of ownership in a group, and of offsets.
public struct TopicPartition: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// The topic's full name, prefix included.
  public var topic: String
  /// The partition's number, from 0.
  public var partition: Int

  /// Names a partition.
  public init(topic: String, partition: Int) {
    self.topic = topic
    self.partition = partition
  }

  /// Orders by topic, then by partition number.
  public static func < (left: TopicPartition, right: TopicPartition) -> Bool {
    left.topic == right.topic ? left.partition < right.partition : left.topic < right.topic
  }

  /// `topic/partition`.
  public var description: String { "\(topic)/\(partition)" }
}
