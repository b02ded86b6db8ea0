import Foundation
import GRDB
import MessageLog

/// Consumer groups: members with leases, who owns which partition, and what was committed.
///
/// A member's lease is a deadline on the machine's boot clock, renewed by heartbeats. Whoever looks removes members whose
/// deadline passed. Ownership moves in two steps, each in one transaction: the owner lets go (or its lease lapses), then
/// the member that should have the partition claims it under a new epoch. Commits are checked against owner and epoch:
/// leases only decide when work is taken over, never whether a commit is right.
enum GroupTable {
  /// What a heartbeat found.
  struct Outcome: Sendable {
    struct Owned: Sendable {
      var place: TopicPartition
      var id: Int64
      var epoch: Int64
      /// Where a new owner starts: the committed offset, or as the reader's options say.
      var start: Int64
    }
    var generation: Int64
    var owned: [Owned]
    /// Partitions that this member must let go of.
    var excess: Set<TopicPartition>
    /// When the first of the other members' leases lapses, on the boot clock.
    var nextDeadline: Int64?
    /// Whether others should look, too.
    var hasChanged: Bool
  }

  struct Member: Sendable {
    var group: String
    var id: String
    var topics: [String]
    var timeout: Int64
    var initial: ReaderOptions.InitialPosition
  }

  /// The group's generation.
  static func generation(_ db: Database, group: String) throws -> Int64 {
    try db.row("SELECT generation FROM reader_group WHERE name = ?", [group])?.integer(0, of: "reader_group") ?? 0
  }

  /// Renews the member's lease, or joins (again), removes lapsed members, and claims what is free and due.
  ///
  /// - Parameter releasing: partitions to let go of, from which nothing more is delivered.
  static func heartbeat(_ db: Database, _ member: Member, releasing: Set<TopicPartition>) throws -> Outcome {
    let now = SystemTime.bootMilliseconds()
    try db.run("INSERT OR IGNORE INTO reader_group VALUES (?, 0, 0)", [member.group])
    var generation = try generation(db, group: member.group)
    let first = generation
    try renew(db, member, now: now)
    var hasChanged = try expire(db, group: member.group, now: now)
    for place in releasing {
      try db.run(
        "UPDATE assignment SET member = NULL WHERE reader_group = ? AND topic = ? AND partition = ? AND member = ?",
        [member.group, place.topic, place.partition, member.id])
      hasChanged = hasChanged || db.changesCount > 0
    }
    let members = try members(db, group: member.group)
    let ids = try partitionIDs(db, topics: Set(members.flatMap(\.topics)))
    var owners = try owners(db, group: member.group)
    let target = Assignor.assign(
      members: members, partitions: Array(ids.keys), owners: owners.compactMapValues(\.member))
    for (place, due) in target where due == member.id && owners[place]?.member == nil {
      generation = first + 1
      try db.run(
        """
        INSERT INTO assignment VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT DO UPDATE SET member = ?4, epoch = ?5
        """, [member.group, place.topic, place.partition, member.id, generation])
      owners[place] = (member.id, generation)
      hasChanged = true
    }
    if try hasChanged || isNew(db, member) {
      generation = first + 1
      hasChanged = true
      try db.run("UPDATE reader_group SET generation = ? WHERE name = ?", [generation, member.group])
      try db.run("UPDATE member SET joined = abs(joined) WHERE id = ?", [member.id])
    }
    let mine = owners.filter { $0.value.member == member.id }
    return Outcome(
      generation: generation, owned: try owned(db, member, mine.mapValues(\.epoch), ids),
      excess: Set(mine.keys.filter { target[$0] != member.id }),
      nextDeadline: try nextDeadline(db, member), hasChanged: hasChanged)
  }

  /// Leaves the group at once.
  static func leave(_ db: Database, group: String, memberID: String) throws {
    try db.run("DELETE FROM member WHERE id = ?", [memberID])
    try db.run("UPDATE assignment SET member = NULL WHERE reader_group = ? AND member = ?", [group, memberID])
    try db.run("UPDATE reader_group SET generation = generation + 1 WHERE name = ?", [group])
  }

  /// Commits offsets of a member that still owns every partition.
  ///
  /// - Throws: `.fenced`; the caller's transaction then undoes everything.
  static func commit(_ db: Database, _ offsets: GroupOffsets) throws {
    let membership = offsets.membership
    for (place, offset) in offsets.offsets.sorted(by: { $0.key < $1.key }) {
      guard offset >= 0 else {
        throw MessageLogError(
          .invalid, "an offset to commit is negative", topic: place.topic, partition: place.partition,
          found: "\(offset)", advice: "commit the offset after the last finished record")
      }
      let row = try db.row(
        "SELECT member, epoch FROM assignment WHERE reader_group = ? AND topic = ? AND partition = ?",
        [membership.group, place.topic, place.partition])
      let owner = try row?.optionalText(0, of: "assignment")
      let epoch = try row?.integer(1, of: "assignment") ?? 0
      guard owner == membership.memberID, epoch <= membership.generation else {
        throw fenced(membership, place, owner: owner, epoch: epoch)
      }
      try db.run(
        "INSERT INTO committed VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET offset = ?4",
        [membership.group, place.topic, place.partition, offset])
    }
  }

  /// What a group has committed.
  static func committed(_ db: Database, group: String) throws -> [TopicPartition: Int64] {
    var offsets: [TopicPartition: Int64] = [:]
    for row in try db.rows("SELECT topic, partition, offset FROM committed WHERE reader_group = ?", [group]) {
      offsets[try place(row)] = try row.integer(2, of: "committed")
    }
    return offsets
  }

  private static func renew(_ db: Database, _ member: Member, now: Int64) throws {
    let deadline = now + member.timeout
    try db.run("UPDATE member SET deadline = ?, boot = ? WHERE id = ?", [deadline, SystemTime.bootName, member.id])
    if db.changesCount > 0 { return }
    guard
      let row = try db.row(
        "UPDATE reader_group SET joined = joined + 1 WHERE name = ? RETURNING joined", [member.group])
    else { throw Failure.damagedRow("reader_group") }
    // A negative number marks a member whose joining has not been announced.
    let joined = try row.integer(0, of: "reader_group")
    try db.run(
      "INSERT INTO member VALUES (?, ?, ?, ?, ?, ?)",
      [
        member.id, member.group, -joined, SystemTime.bootName, deadline,
        member.topics.sorted().joined(separator: "\n"),
      ])
  }

  private static func isNew(_ db: Database, _ member: Member) throws -> Bool {
    try db.row("SELECT 1 FROM member WHERE id = ? AND joined < 0", [member.id]) != nil
  }

  /// Removes members whose lease lapsed, those of an earlier start of the machine too.
  private static func expire(_ db: Database, group: String, now: Int64) throws -> Bool {
    let lapsed = try db.rows(
      "SELECT id FROM member WHERE reader_group = ? AND (deadline < ? OR boot <> ?)",
      [group, now, SystemTime.bootName])
    for row in lapsed {
      let id = try row.text(0, of: "member")
      try db.run("DELETE FROM member WHERE id = ?", [id])
      try db.run("UPDATE assignment SET member = NULL WHERE reader_group = ? AND member = ?", [group, id])
    }
    return !lapsed.isEmpty
  }

  private static func members(_ db: Database, group: String) throws -> [Assignor.Member] {
    try db.rows("SELECT id, topics FROM member WHERE reader_group = ? ORDER BY abs(joined), id", [group]).map { row in
      let topics = try row.text(1, of: "member").split(separator: "\n").map(String.init)
      return Assignor.Member(id: try row.text(0, of: "member"), topics: Set(topics))
    }
  }

  private static func partitionIDs(_ db: Database, topics: Set<String>) throws -> [TopicPartition: Int64] {
    var ids: [TopicPartition: Int64] = [:]
    for topic in topics {
      for row in try db.rows("SELECT topic, number, id FROM partition WHERE topic = ?", [topic]) {
        ids[try place(row)] = try row.integer(2, of: "partition")
      }
    }
    return ids
  }

  private static func owners(
    _ db: Database, group: String
  ) throws -> [TopicPartition: (member: String?, epoch: Int64)] {
    var owners: [TopicPartition: (member: String?, epoch: Int64)] = [:]
    let rows = try db.rows("SELECT topic, partition, member, epoch FROM assignment WHERE reader_group = ?", [group])
    for row in rows {
      owners[try place(row)] = (try row.optionalText(2, of: "assignment"), try row.integer(3, of: "assignment"))
    }
    return owners
  }

  private static func owned(
    _ db: Database, _ member: Member, _ epochs: [TopicPartition: Int64], _ ids: [TopicPartition: Int64]
  ) throws -> [Outcome.Owned] {
    let committed = try committed(db, group: member.group)
    return try epochs.compactMap { place, epoch in
      guard let id = ids[place] else { return nil }
      let start: Int64
      if let offset = committed[place] {
        start = offset
      } else {
        let bounds = try PartitionRows.watermarks(db, id: id)
        start = member.initial == .earliest ? bounds.low : bounds.high
      }
      return Outcome.Owned(place: place, id: id, epoch: epoch, start: start)
    }
  }

  private static func nextDeadline(_ db: Database, _ member: Member) throws -> Int64? {
    try db.row("SELECT min(deadline) FROM member WHERE reader_group = ? AND id <> ?", [member.group, member.id])?
      .optionalInteger(0, of: "member")
  }

  private static func place(_ row: Row) throws -> TopicPartition {
    guard let number = Int(exactly: try row.integer(1, of: "partition")) else {
      throw Failure.damagedRow("partition")
    }
    return TopicPartition(topic: try row.text(0, of: "partition"), partition: number)
  }

  private static func fenced(
    _ membership: GroupMembership, _ place: TopicPartition, owner: String?, epoch: Int64
  ) -> MessageLogError {
    let found = owner.map { "member \($0) since generation \(epoch)" } ?? "no owner"
    return MessageLogError(
      .fenced, "the partition no longer belongs to this member of the group \(membership.group)", topic: place.topic,
      partition: place.partition, expected: "member \(membership.memberID) since generation \(membership.generation)",
      found: found, advice: "drop the work on this partition; its new owner does it again", isRetriable: true)
  }
}
