import MessageLog

extension ContractSuite {
  private static let longAgo: Int64 = 1_600_000_000_000
  private static let onDemand = ["maintenanceOnDemand"]

  static let ageing: [ContractCase] = [
    ContractCase("records past their time are removed, oldest first", needs: onDemand + ["retention"]) { _, log in
      try await log.create([TopicConfiguration(name: "t", cleanup: [.delete], retentionMilliseconds: 3_600_000)])
      _ = try await log.append((0..<10).map { new("t", "old \($0)", at: longAgo + Int64($0)) })
      _ = try await log.append((0..<5).map { new("t", "new \($0)") })
      let reader = try await log.reader(of: [at("t"): .offset(4)], options: ReaderOptions())
      let report = try await log.maintain()
      try expectEqual(report.expiredRecords, 10)
      try expect(report.removedBytes > 0, "bytes were given back")
      try expectEqual(try await log.watermarks(of: at("t")), Watermarks(low: 10, high: 15))
      let error = try await expectError(.outOfRange) { _ = try await reader.next(maximum: 1, timeout: .seconds(5)) }
      try expect(error.description.contains("4 to 9"), "the error names the missing range: \(error)")
      try await reader.seek(at("t"), to: .earliest)
      try expectEqual(try await reader.take(5).first?.text, "new 0")
      await reader.close()
      try await expectError(.outOfRange) {
        let lost = try await log.reader(of: [at("t"): .offset(4)], options: ReaderOptions())
        _ = try await lost.next(maximum: 1, timeout: .seconds(5))
      }
      try expectEqual(try await log.maintain(), MaintenanceReport())
    },
    ContractCase("a group that was overtaken fails, or skips where it is told to", needs: onDemand + ["retention"]) {
      harness, log in
      try await log.create([TopicConfiguration(name: "t", cleanup: [.delete], retentionMilliseconds: 3_600_000)])
      _ = try await log.append((0..<10).map { new("t", "old \($0)", at: longAgo) })
      let first = try await log.groupReader(group: "g", topics: ["t"], options: harness.options)
      _ = try await first.take(2, within: harness.patience)
      try await first.commit([at("t"): 2])
      await first.close()
      _ = try await log.append([new("t", "new")])
      _ = try await log.maintain()
      let strict = try await log.groupReader(group: "g", topics: ["t"], options: harness.options)
      try await expectError(.outOfRange) { _ = try await strict.take(1, within: harness.patience) }
      await strict.close()
      var options = harness.options
      options.onLostRange = .skip
      let lenient = try await log.groupReader(group: "g", topics: ["t"], options: options)
      try expectEqual(try await lenient.take(1, within: harness.patience).map(\.text), ["new"])
      await lenient.close()
    },
    ContractCase("a reader that may skip what is lost begins at what is left", needs: onDemand + ["retention"]) {
      _, log in
      try await log.create([TopicConfiguration(name: "t", cleanup: [.delete], retentionMilliseconds: 3_600_000)])
      _ = try await log.append((0..<10).map { new("t", "old \($0)", at: longAgo) })
      _ = try await log.append([new("t", "new")])
      _ = try await log.maintain()
      let reader = try await log.reader(of: [at("t"): .offset(4)], options: ReaderOptions(onLostRange: .skip))
      try expectEqual(try await reader.take(1).map(\.text), ["new"])
      try await reader.seek(at("t"), to: .offset(2))
      try expectEqual(try await reader.take(1).map(\.text), ["new"])
      await reader.close()
    },
    ContractCase("a partition over its size loses its oldest records", needs: onDemand + ["retention"]) { _, log in
      try await log.create([TopicConfiguration(name: "t", cleanup: [.delete], retentionBytes: 20_000)])
      let text = String(repeating: "x", count: 1000)
      for _ in 0..<100 { _ = try await log.append([new("t", text)]) }
      let report = try await log.maintain()
      let bounds = try await log.watermarks(of: at("t"))
      try expect(report.expiredRecords >= 80 && bounds.low >= 80 && bounds.low < 100, "low is \(bounds.low)")
      try expectEqual(bounds.high, 100)
      let reader = try await log.reader(of: [at("t"): .earliest], options: ReaderOptions())
      try expectEqual(try await reader.take(Int(100 - bounds.low)).first?.offset, bounds.low)
      await reader.close()
    },
    ContractCase("compaction keeps the last value of each key, with holes", needs: onDemand + ["compaction"]) {
      _, log in
      try await log.create([TopicConfiguration(name: "t", cleanup: [.compact])])
      for round in 0..<5 {
        _ = try await log.append((0..<20).map { new("t", "\(round)", key: "k\(($0 * 7) % 20)") })
      }
      _ = try await log.append([new("t", "only", key: "extra")])
      let half = try await log.reader(of: [at("t"): .earliest], options: ReaderOptions())
      _ = try await half.take(30)
      try expectEqual(try await log.maintain().compactedRecords, 80)
      let reader = try await log.reader(of: [at("t"): .earliest], options: ReaderOptions())
      let records = try await reader.take(21)
      try expectEqual(records.map(\.offset), Array(80...100), "the last records keep their offsets")
      try expect(records.dropLast().allSatisfy { $0.text == "4" }, "the last values")
      try await reader.seek(at("t"), to: .offset(33))
      try expectEqual(try await reader.take(1).first?.offset, 80, "an offset in a hole means the next record")
      // What was fetched before may still come, then the holes; always in order, and to the end.
      var last: Int64 = 29
      while last < 100 {
        let offset = try await half.take(1)[0].offset
        try expect(offset > last, "offset \(offset) after \(last)")
        last = offset
      }
      let next = try await log.append([new("t", "5", key: "k0")])
      try expectEqual(next[0].offset, 101, "offsets are never used twice")
      try expectEqual(try await log.maintain().compactedRecords, 1)
      try expectEqual(try await log.maintain(), MaintenanceReport(), "nothing is left to do")
      await reader.close()
      await half.close()
      try await expectError(.invalid) { _ = try await log.append([new("t", "x")]) }
    },
    ContractCase("erasing removes single records from any topic, and nothing else", needs: ["erasure"]) { _, log in
      try await log.create([TopicConfiguration(name: "t", partitions: 2), TopicConfiguration(name: "u")])
      _ = try await log.append((0..<10).map { new("t", "a\($0)", key: "k", partition: 1) })
      _ = try await log.append((10..<13).map { new("t", "a\($0)", partition: 1) })
      _ = try await log.append([new("t", "b0", partition: 0), new("u", "only")])
      let reader = try await log.reader(of: [at("t", 1): .earliest], options: ReaderOptions())
      try expectEqual(try await reader.take(3).map(\.text), ["a0", "a1", "a2"])
      let erased = try await log.erase([at("t", 1): [0, 4, 10, 11, 12, 40], at("u"): [0]])
      try expectEqual(erased, 6, "records that were there")
      try expectEqual(try await log.erase([at("t", 1): [0, 4, 10]]), 0, "erasing twice is harmless")
      let rest = try await log.reader(of: [at("t", 1): .earliest], options: ReaderOptions())
      try expectEqual(try await rest.take(8).map(\.offset), [1, 2, 3, 5, 6, 7, 8, 9])
      try expectEqual(try await log.watermarks(of: at("t", 1)).high, 13, "the end stays where it was")
      try expectEqual(try await log.append([new("t", "a13", partition: 1)])[0].offset, 13)
      try expectEqual(try await rest.take(1).map(\.text), ["a13"])
      let other = try await log.reader(of: [at("t", 0): .earliest], options: ReaderOptions())
      try expectEqual(try await other.take(1).map(\.text), ["b0"])
      let empty = try await log.reader(of: [at("u"): .earliest], options: ReaderOptions())
      try expectEqual(try await empty.next(maximum: 1, timeout: .milliseconds(50)), [])
      try expectEqual(await empty.positions, [at("u"): 1])
      for reader in [reader, rest, other, empty] { await reader.close() }
      try await expectError(.unknownTopic) { _ = try await log.erase([at("nowhere"): [1]]) }
    },
    ContractCase("a tombstone erases its key and stays for its grace", needs: onDemand + ["compaction"]) { _, log in
      try await log.create([
        TopicConfiguration(name: "long", cleanup: [.compact]),
        TopicConfiguration(name: "none", cleanup: [.compact], deleteRetentionMilliseconds: 0),
      ])
      for topic in ["long", "none"] {
        _ = try await log.append([new(topic, "secret", key: "a"), new(topic, "kept", key: "b")])
        _ = try await log.append([new(topic, nil, key: "a")])
        _ = try await log.append([new(topic, "c", key: "c")])
      }
      try await Task.sleep(for: .milliseconds(5))
      _ = try await log.maintain()
      let long = try await log.reader(of: [at("long"): .earliest], options: ReaderOptions())
      let kept = try await long.take(3)
      try expectEqual(kept.map(\.offset), [1, 2, 3])
      try expect(kept[1].isTombstone, "the tombstone is there for late readers")
      let none = try await log.reader(of: [at("none"): .earliest], options: ReaderOptions())
      try expectEqual(try await none.take(2).map(\.offset), [1, 3])
      try expectEqual(try await none.next(maximum: 1, timeout: .milliseconds(50)), [])
      try expectEqual(await none.positions, [at("none"): 4])
      await long.close()
      await none.close()
    },
    ContractCase("a reader of a wholly compacted end knows that it has caught up", needs: onDemand + ["compaction"]) {
      _, log in
      try await log.create([TopicConfiguration(name: "t", cleanup: [.compact], deleteRetentionMilliseconds: 0)])
      _ = try await log.append([new("t", "x", key: "a"), new("t", nil, key: "a")])
      try await Task.sleep(for: .milliseconds(5))
      try expectEqual(try await log.maintain().compactedRecords, 2)
      let bounds = try await log.watermarks(of: at("t"))
      try expectEqual(bounds.high, 2)
      let reader = try await log.reader(of: [at("t"): .earliest], options: ReaderOptions())
      try expectEqual(try await reader.next(maximum: 1, timeout: .milliseconds(50)), [])
      try expectEqual(await reader.positions, [at("t"): 2])
      try expectEqual(try await log.append([new("t", "y", key: "a")])[0].offset, 2)
      try expectEqual(try await reader.take(1).map(\.offset), [2])
      await reader.close()
    },
    ContractCase("records younger than the lag are not compacted", needs: onDemand + ["compaction"]) { _, log in
      try await log.create([
        TopicConfiguration(name: "t", cleanup: [.compact], minimumCompactionLagMilliseconds: 3_600_000)
      ])
      _ = try await log.append([new("t", "1", key: "a", at: longAgo), new("t", "2", key: "a", at: longAgo)])
      _ = try await log.append([new("t", "3", key: "a"), new("t", "4", key: "a")])
      try expectEqual(try await log.maintain().compactedRecords, 1)
      let reader = try await log.reader(of: [at("t"): .earliest], options: ReaderOptions())
      try expectEqual(try await reader.take(3).map(\.text), ["2", "3", "4"])
      await reader.close()
    },
  ]
}
