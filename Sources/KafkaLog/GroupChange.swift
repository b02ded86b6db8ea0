import MessageLog

/// A change of a group member's partitions that the member has not answered yet.
enum GroupChange: Sendable {
  /// The group gives partitions: begin to read.
  case assigned(Set<TopicPartition>)
  /// The group takes partitions away, or has given them to others already: give them up.
  case revoked(Set<TopicPartition>)
}
