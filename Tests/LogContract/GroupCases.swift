import MessageLog

extension ContractSuite {
  static let groups: [ContractCase] = [
    ContractCase("a group goes on from what it committed", needs: ["groups"]) { harness, log in
      try await log.create([TopicConfiguration(name: "t", partitions: 2)])
      _ = try await log.append((0..<20).map { new("t", "\($0)", partition: $0 % 2) })
      let first = try await log.groupReader(group: "g", topics: ["t"], options: harness.options)
      let seen = try await first.take(20, within: harness.patience)
      try expectEqual(await first.assignment, [at("t", 0), at("t", 1)])
      try expectEqual(Set(seen.map(\.text)).count, 20)
      try await first.commit([at("t", 0): 4, at("t", 1): 9])
      try expectEqual(try await log.committedOffsets(group: "g"), [at("t", 0): 4, at("t", 1): 9])
      await first.close()
      let second = try await log.groupReader(group: "g", topics: ["t"], options: harness.options)
      let rest = try await second.take(7, within: harness.patience)
      try expectEqual(rest.filter { $0.partition == 0 }.map(\.offset), [4, 5, 6, 7, 8, 9])
      try expectEqual(rest.filter { $0.partition == 1 }.map(\.offset), [9])
      await second.close()
      try expectEqual(try await log.committedOffsets(group: "nobody"), [:])
    },
    ContractCase("groups are independent, and may start at the end", needs: ["groups"]) { harness, log in
      try await log.create([TopicConfiguration(name: "t")])
      _ = try await log.append([new("t", "old")])
      var options = harness.options
      options.startWhenNoCommit = .latest
      let late = try await log.groupReader(group: "late", topics: ["t"], options: options)
      try await eventually(within: harness.patience, "the group has its partition") {
        _ = try await late.next(maximum: 1, timeout: .milliseconds(20))
        return await late.assignment == [at("t")]
      }
      _ = try await log.append([new("t", "new")])
      try expectEqual(try await late.take(1, within: harness.patience).map(\.text), ["new"])
      let early = try await log.groupReader(group: "early", topics: ["t"], options: harness.options)
      try expectEqual(try await early.take(2, within: harness.patience).map(\.text), ["old", "new"])
      await late.close()
      await early.close()
    },
    ContractCase("members share partitions evenly, and share again when one joins or leaves", needs: ["groups"]) {
      harness, log in
      try await log.create([TopicConfiguration(name: "t", partitions: 6)])
      let other = try await harness.open()
      var members: [any GroupReader] = []
      for count in 1...3 {
        let owner: any MessageLog = count == 2 ? other : log
        members.append(try await owner.groupReader(group: "g", topics: ["t"], options: harness.options))
        try await settled(members, shares: Array(repeating: 6 / count, count: count), harness)
      }
      await members.removeFirst().close()
      try await settled(members, shares: [3, 3], harness)
      _ = try await log.append((0..<60).map { new("t", "\($0)", partition: $0 % 6) })
      let one = try await members[0].take(30, within: harness.patience)
      let two = try await members[1].take(30, within: harness.patience)
      try expectEqual(Set((one + two).map(\.text)).count, 60, "each record reached one member")
      for member in members { await member.close() }
      try await other.close()
    },
    ContractCase("a member too many waits for a partition", needs: ["groups"]) { harness, log in
      try await log.create([TopicConfiguration(name: "t")])
      let first = try await log.groupReader(group: "g", topics: ["t"], options: harness.options)
      try await settled([first], shares: [1], harness)
      let second = try await log.groupReader(group: "g", topics: ["t"], options: harness.options)
      try await settled([first, second], shares: [0, 1], harness)
      // One at a time: the other may have taken over before the first is closed.
      let ownsFirst = await !first.assignment.isEmpty
      await (ownsFirst ? first : second).close()
      try await eventually(within: harness.patience, "the spare member takes over") {
        var owned = 0
        for member in [first, second] {
          _ = try? await member.next(maximum: 1, timeout: .milliseconds(20))
          owned += await member.assignment.count
        }
        return owned == 1
      }
      await first.close()
      await second.close()
    },
    ContractCase("the partitions of a killed member are taken over when its lease lapses", needs: ["groups"]) {
      harness, log in
      guard let (_, heir) = try await takeOver(harness, log) else { return }
      let records = try await heir.take(7, within: harness.patience)
      try expectEqual(records.filter { $0.partition == 0 }.map(\.offset), [3, 4], "from the commit on")
      try expectEqual(records.filter { $0.partition == 1 }.map(\.offset), [0, 1, 2, 3, 4], "from the start")
      await heir.close()
    },
    ContractCase("a killed member that comes back commits nothing", needs: ["groups", "groupFencing", "transactions"]) {
      harness, log in
      guard let (membership, heir) = try await takeOver(harness, log) else { return }
      _ = try await heir.take(7, within: harness.patience)
      let writer = try await log.transactionalWriter(id: "zombie")
      try await expectError(.fenced) {
        _ = try await writer.commit(
          append: [new("t", "bad")], offsets: GroupOffsets(membership: membership, offsets: [at("t", 0): 5]))
      }
      try expectEqual(try await log.committedOffsets(group: "g"), [at("t", 0): 3])
      await heir.close()
    },
    ContractCase("a commit for a partition that moved away is fenced", needs: ["groups", "groupFencing"]) {
      harness, log in
      try await log.create([TopicConfiguration(name: "t", partitions: 2), TopicConfiguration(name: "out")])
      _ = try await log.append((0..<10).map { new("t", "\($0)", partition: $0 % 2) })
      let first = try await log.groupReader(group: "g", topics: ["t"], options: harness.options)
      _ = try await first.take(10, within: harness.patience)
      let before = try await first.membership
      let second = try await log.groupReader(group: "g", topics: ["t"], options: harness.options)
      try await settled([first, second], shares: [1, 1], harness)
      guard let lost = await second.assignment.first else { throw ContractFailure(description: "no partition moved") }
      let refused = try await expectError(.fenced) { try await first.commit([lost: 5]) }
      try expect(refused.isRetriable && !refused.isFatal, "a member that lost a partition goes on")
      let writer = try await log.transactionalWriter(id: "w")
      try await expectError(.fenced) {
        _ = try await writer.commit(
          append: [new("out", "bad")], offsets: GroupOffsets(membership: before, offsets: [lost: 5]))
      }
      try expectEqual(try await log.watermarks(of: at("out")).high, 0, "nothing was appended")
      try expectEqual(try await log.committedOffsets(group: "g"), [:])
      await second.close()
      try await settled([first], shares: [2], harness)
      let stale = GroupOffsets(membership: before, offsets: [lost: 5])
      let fresh = try await log.transactionalWriter(id: "w")
      try await expectError(.fenced) { _ = try await fresh.commit(append: [], offsets: stale) }
      let now = GroupOffsets(membership: try await first.membership, offsets: [lost: 5])
      let last = try await log.transactionalWriter(id: "w")
      _ = try await last.commit(append: [], offsets: now)
      try expectEqual(try await log.committedOffsets(group: "g"), [lost: 5])
      await first.close()
    },
    ContractCase("a partition that moves to another member goes on from the commit", needs: ["groups"]) {
      harness, log in
      try await log.create([TopicConfiguration(name: "t", partitions: 2)])
      _ = try await log.append((0..<10).map { new("t", "\($0)", partition: $0 % 2) })
      let first = try await log.groupReader(group: "g", topics: ["t"], options: harness.options)
      _ = try await first.take(10, within: harness.patience)
      try await first.commit([at("t", 0): 5, at("t", 1): 5])
      let second = try await log.groupReader(group: "g", topics: ["t"], options: harness.options)
      try await settled([first, second], shares: [1, 1], harness)
      _ = try await log.append((0..<2).map { new("t", "new", partition: $0) })
      try expectEqual(try await second.take(1, within: harness.patience).map(\.offset), [5], "nothing is done twice")
      await first.close()
      await second.close()
    },
    ContractCase("a member that works for longer than its lease stays a member", needs: ["groups"]) { harness, log in
      try await log.create([TopicConfiguration(name: "t", partitions: 2)])
      _ = try await log.append([new("t", "a", partition: 0), new("t", "b", partition: 1)])
      let busy = try await log.groupReader(group: "g", topics: ["t"], options: harness.options)
      _ = try await busy.take(2, within: harness.patience)
      try await Task.sleep(for: harness.sessionTimeout * 2)
      try await busy.commit([at("t", 0): 1, at("t", 1): 1])
      try expectEqual(try await log.committedOffsets(group: "g"), [at("t", 0): 1, at("t", 1): 1])
      await busy.close()
      try await expectError(.closed) { _ = try await busy.membership }
    },
  ]

  /// A member reads ten records of two partitions, commits three of the first and dies; another joins.
  private static func takeOver(
    _ harness: LogHarness, _ log: any MessageLog
  ) async throws -> (dead: GroupMembership, heir: any GroupReader)? {
    guard let abandon = harness.abandon else { return nil }
    try await log.create([TopicConfiguration(name: "t", partitions: 2)])
    _ = try await log.append((0..<10).map { new("t", "\($0)", partition: $0 % 2) })
    let doomed = try await harness.open()
    let dead = try await doomed.groupReader(group: "g", topics: ["t"], options: harness.options)
    _ = try await dead.take(10, within: harness.patience)
    try await dead.commit([at("t", 0): 3])
    let membership = try await dead.membership
    try await abandon(doomed)
    return (membership, try await log.groupReader(group: "g", topics: ["t"], options: harness.options))
  }

  /// Reads with all members until each has its share.
  private static func settled(
    _ members: [any GroupReader], shares: [Int], _ harness: LogHarness, file: StaticString = #fileID, line: UInt = #line
  ) async throws {
    try await eventually(within: harness.patience, "members own \(shares) partitions", file: file, line: line) {
      var found: [Set<TopicPartition>] = []
      for member in members {
        // Records are looked at elsewhere: here a member only takes part in the rebalance.
        _ = try await member.next(maximum: 1, timeout: .milliseconds(5))
        found.append(await member.assignment)
      }
      let union = found.reduce(into: Set<TopicPartition>()) { $0.formUnion($1) }
      return found.map(\.count).sorted() == shares.sorted() && union.count == shares.reduce(0, +)
    }
  }
}
