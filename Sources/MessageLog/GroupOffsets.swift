/// A group's offsets to commit within a transaction: the next offset to read, by partition.
public struct GroupOffsets: Sendable, Hashable {
  /// Who commits.
  public var membership: GroupMembership
  /// The next offset to read in each partition.
  public var offsets: [TopicPartition: Int64]

  /// Offsets with the membership that covers them.
  public init(membership: GroupMembership, offsets: [TopicPartition: Int64]) {
    self.membership = membership
    self.offsets = offsets
  }
}
