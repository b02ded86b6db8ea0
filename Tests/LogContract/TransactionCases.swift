import MessageLog

extension ContractSuite {
  static let transactions: [ContractCase] = [
    ContractCase("a transaction appends to several topics and commits offsets as one", needs: ["transactions"]) {
      harness, log in
      try await log.create([TopicConfiguration(name: "in"), TopicConfiguration(name: "out", partitions: 2)])
      _ = try await log.append((0..<5).map { new("in", "\($0)") })
      let reader = try await log.groupReader(group: "g", topics: ["in"], options: harness.options)
      let records = try await reader.take(5, within: harness.patience)
      let writer = try await log.transactionalWriter(id: "w")
      let offsets = GroupOffsets(membership: try await reader.membership, offsets: [at("in"): 5])
      let positions = try await writer.commit(
        append: records.map { new("out", "got \($0.text)", partition: Int($0.offset % 2)) }, offsets: offsets)
      try expectEqual(positions.map(\.offset), [0, 0, 1, 1, 2])
      try expectEqual(try await log.committedOffsets(group: "g"), [at("in"): 5])
      let output = try await log.reader(
        of: [at("out", 0): .earliest, at("out", 1): .earliest], options: ReaderOptions())
      try expectEqual(Set(try await output.take(5).map(\.text)), Set((0..<5).map { "got \($0)" }))
      await output.close()
      await writer.close()
      try await expectError(.closed) { _ = try await writer.commit(append: [new("out", "x")], offsets: nil) }
      await reader.close()
    },
    ContractCase("a transaction that fails leaves nothing behind", needs: ["transactions", "groupFencing"]) {
      harness, log in
      try await log.create([
        TopicConfiguration(name: "in"), TopicConfiguration(name: "out", maximumMessageBytes: 1000),
      ])
      _ = try await log.append([new("in", "x")])
      let reader = try await log.groupReader(group: "g", topics: ["in"], options: harness.options)
      _ = try await reader.take(1, within: harness.patience)
      let writer = try await log.transactionalWriter(id: "w")
      let membership = try await reader.membership
      let offsets = GroupOffsets(membership: membership, offsets: [at("in"): 1])
      try await expectError(.tooLarge) {
        let large = String(repeating: "x", count: 2000)
        _ = try await writer.commit(append: [new("out", "a"), new("out", large)], offsets: offsets)
      }
      var stranger = offsets
      stranger.membership.memberID = "nobody"
      let refused = try await expectError(.fenced) {
        _ = try await writer.commit(append: [new("out", "a")], offsets: stranger)
      }
      try expect(refused.isRetriable && !refused.isFatal, "the writer itself is not fenced")
      try expectEqual(try await log.committedOffsets(group: "g"), [:])
      let output = try await log.reader(of: [at("out"): .earliest], options: ReaderOptions())
      try expectEqual(try await output.next(maximum: 10, timeout: .milliseconds(100)), [])
      let after = try await log.transactionalWriter(id: "w")
      _ = try await after.commit(append: [new("out", "b")], offsets: offsets)
      try expectEqual(try await output.take(1).map(\.text), ["b"])
      try expectEqual(try await log.committedOffsets(group: "g"), [at("in"): 1])
      await output.close()
      await reader.close()
    },
    ContractCase("a newer writer shuts out the older one with its id", needs: ["transactions", "fencing"]) {
      harness, log in
      try await log.create([TopicConfiguration(name: "t")])
      let old = try await log.transactionalWriter(id: "w")
      _ = try await old.commit(append: [new("t", "old")], offsets: nil)
      let other = try await harness.open()
      let newer = try await other.transactionalWriter(id: "w")
      let error = try await expectError(.fenced) { _ = try await old.commit(append: [new("t", "bad")], offsets: nil) }
      try expect(error.isFatal && !error.isRetriable, "a fenced writer is spent")
      _ = try await newer.commit(append: [new("t", "new")], offsets: nil)
      let independent = try await log.transactionalWriter(id: "other")
      _ = try await independent.commit(append: [new("t", "other")], offsets: nil)
      let reader = try await log.reader(of: [at("t"): .earliest], options: ReaderOptions())
      try expectEqual(try await reader.take(3).map(\.text), ["old", "new", "other"])
      await reader.close()
      try await other.close()
    },
  ]
}
