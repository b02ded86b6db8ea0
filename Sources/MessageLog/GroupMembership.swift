/// Proof of what a group member owned at a moment; a commit is checked against it.
///
/// Take it beside the records it is to cover: a membership taken after a rebalance vouches for later ownership.
public struct GroupMembership: Sendable, Hashable {
  /// The group.
  public var group: String
  /// The member, unique to one reader.
  public var memberID: String
  /// The group's generation when this was taken; it grows whenever a partition changes hands.
  public var generation: Int64
  /// What else the log needs to recognise the member, opaque to everyone else (Kafka's serialised group metadata).
  public var token: [UInt8]

  /// A membership.
  public init(group: String, memberID: String, generation: Int64, token: [UInt8] = []) {
    self.group = group
    self.memberID = memberID
    self.generation = generation
    self.token = token
  }
}
