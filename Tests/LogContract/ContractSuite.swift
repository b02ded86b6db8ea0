import MessageLog

/// What every log must do, stated once.
public enum ContractSuite {
  /// All cases.
  public static let all: [ContractCase] = appending + reading + transactions + groups + ageing
}

extension ContractSuite {
  static let appending: [ContractCase] = [
    ContractCase("records of a partition keep their order and get consecutive offsets") { _, log in
      try await log.create([TopicConfiguration(name: "t")])
      let positions = try await log.append((0..<100).map { new("t", "\($0)") })
      try expectEqual(positions.map(\.offset), Array(0..<100), "offsets")
      _ = try await log.append((100..<150).map { new("t", "\($0)") })
      let reader = try await log.reader(of: [at("t"): .earliest], options: ReaderOptions())
      let records = try await reader.take(150)
      try expectEqual(records.map(\.text), (0..<150).map(String.init), "values")
      try expectEqual(records.map(\.offset), Array(0..<150), "offsets")
      try expectEqual(await reader.positions, [at("t"): 150], "positions")
      await reader.close()
    },
    ContractCase("a key chooses its partition as Kafka's default partitioner does") { _, log in
      try await log.create([TopicConfiguration(name: "t", partitions: 5)])
      let keys = (0..<50).map { "key-\($0)" }
      let positions = try await log.append(keys.map { new("t", "v", key: $0) })
      let expected = keys.map { Partitioner.partition(of: bytes($0), partitions: 5) }
      try expectEqual(positions.map(\.topicPartition.partition), expected, "partitions")
      let explicit = try await log.append([new("t", "v", key: keys[0], partition: 4)])
      try expectEqual(explicit[0].topicPartition, at("t", 4), "a named partition")
    },
    ContractCase("records without a key reach all partitions in turn") { _, log in
      try await log.create([TopicConfiguration(name: "t", partitions: 3)])
      var seen: Set<Int> = []
      for turn in 0..<60 { seen.insert(try await log.append([new("t", "\(turn)")])[0].topicPartition.partition) }
      try expectEqual(seen, [0, 1, 2], "partitions reached")
    },
    ContractCase("keys, values, headers and tombstones come back byte for byte") { _, log in
      try await log.create([TopicConfiguration(name: "t")])
      let all = Array(UInt8.min...UInt8.max)
      let headers = [Header("a", "1"), Header("b", bytes: all), Header("a", "2"), Header("ü", bytes: [])]
      _ = try await log.append([
        NewRecord(topic: "t", key: all, value: all, headers: headers), NewRecord(topic: "t", key: [], value: []),
        NewRecord(topic: "t", key: bytes("k"), value: nil), NewRecord(topic: "t", key: nil, value: bytes("x")),
      ])
      let reader = try await log.reader(of: [at("t"): .earliest], options: ReaderOptions())
      let records = try await reader.take(4)
      try expectEqual(records[0].key, all)
      try expectEqual(records[0].value, all)
      try expectEqual(records[0].headers, headers)
      try expectEqual(records[0].headers.text("a"), "2")
      try expectEqual(records[1].key, [])
      try expectEqual(records[1].value, [])
      try expect(records[2].isTombstone && records[2].key == bytes("k"), "the tombstone")
      try expect(records[3].key == nil && records[3].headers.isEmpty, "no key, no headers")
      await reader.close()
    },
    ContractCase("a topic keeps the writer's timestamps", needs: ["logAppendTime"]) { _, log in
      try await log.create([TopicConfiguration(name: "t")])
      let positions = try await log.append([new("t", "a", at: 1_000_000), new("t", "b", at: 5), new("t", "c")])
      try expectEqual(positions.prefix(2).map(\.timestamp), [1_000_000, 5])
      let reader = try await log.reader(of: [at("t"): .earliest], options: ReaderOptions())
      let times = try await reader.take(3).map(\.timestamp)
      try expectEqual(times.prefix(2), [1_000_000, 5])
      try expect(times[2] > 1_600_000_000_000, "a record without a time is stamped now")
      await reader.close()
    },
    ContractCase("a topic with log-append time stamps records itself", needs: ["logAppendTime"]) { _, log in
      try await log.create([TopicConfiguration(name: "t", timestampType: .logAppend)])
      _ = try await log.append([new("t", "a", at: 5), new("t", "b", at: 1)])
      let reader = try await log.reader(of: [at("t"): .earliest], options: ReaderOptions())
      let times = try await reader.take(2).map(\.timestamp)
      try expect(times.allSatisfy { $0 > 1_600_000_000_000 }, "stamped by the log, found \(times)")
      await reader.close()
    },
    ContractCase("creating a topic again is fine, differently is a conflict", needs: ["topicAdministration"]) {
      _, log in
      let topic = TopicConfiguration(
        name: "t", partitions: 3, cleanup: [.compact, .delete], retentionMilliseconds: 1000, retentionBytes: 5000,
        maximumMessageBytes: 2000, timestampType: .logAppend)
      try await log.create([topic])
      try await log.create([topic])
      try expectEqual(try await log.topics(), [topic], "topics")
      var other = topic
      other.partitions = 4
      try await expectError(.conflict) { try await log.create([TopicConfiguration(name: "new"), other]) }
      try expectEqual(try await log.topics().map(\.name), ["t"], "nothing was created")
      try await expectError(.invalid) { try await log.create([TopicConfiguration(name: "a b")]) }
      try await expectError(.invalid) { try await log.create([TopicConfiguration(name: "z", partitions: 0)]) }
    },
    ContractCase("a topic is altered in place, with more partitions but never fewer", needs: ["topicAdministration"]) {
      _, log in
      var topic = TopicConfiguration(name: "t", cleanup: [.delete], retentionMilliseconds: 3_600_000)
      try await log.create([topic])
      _ = try await log.append([new("t", "old")])
      topic.partitions = 3
      topic.cleanup = [.compact]
      topic.retentionMilliseconds = nil
      topic.maximumMessageBytes = 3_000
      try await log.alter([topic])
      try expectEqual(try await log.topics(), [topic], "topics")
      let key = try await log.append([new("t", "new", key: "k")])[0]
      try expectEqual(key.topicPartition.partition, Partitioner.partition(of: bytes("k"), partitions: 3))
      try expectEqual(try await log.watermarks(of: at("t", 2)).low, 0)
      try await expectError(.tooLarge) {
        _ = try await log.append([new("t", String(repeating: "x", count: 3_001), key: "k")])
      }
      topic.partitions = 2
      try await expectError(.invalid) { try await log.alter([topic]) }
      try await expectError(.unknownTopic) { try await log.alter([TopicConfiguration(name: "none")]) }
    },
    ContractCase("what cannot be appended is refused whole", needs: ["topicAdministration"]) { _, log in
      try await log.create([TopicConfiguration(name: "t", maximumMessageBytes: 1000)])
      try await expectError(.unknownTopic) { _ = try await log.append([new("none", "x")]) }
      try await expectError(.unknownTopic) { _ = try await log.append([new("t", "x", partition: 1)]) }
      try await expectError(.tooLarge) {
        _ = try await log.append([new("t", "x"), new("t", String(repeating: "x", count: 1001))])
      }
      try expectEqual(try await log.watermarks(of: at("t")), Watermarks(low: 0, high: 0))
      try expectEqual(try await log.append([]), [])
    },
    ContractCase("a record of 10 MB passes where the topic allows it", needs: ["topicAdministration"]) { _, log in
      try await log.create([TopicConfiguration(name: "t", maximumMessageBytes: 11 << 20)])
      let value = (0..<(10 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
      _ = try await log.append([new("t", "a"), NewRecord(topic: "t", key: nil, value: value), new("t", "b")])
      let reader = try await log.reader(of: [at("t"): .earliest], options: ReaderOptions())
      let records = try await reader.take(3)
      try expect(records[1].value == value, "10 MB came back changed")
      try expectEqual(records[2].text, "b")
      await reader.close()
    },
    ContractCase("appends of many tasks are all kept, each once") { _, log in
      try await log.create([TopicConfiguration(name: "t")])
      try await withThrowingTaskGroup(of: Void.self) { tasks in
        for task in 0..<8 {
          tasks.addTask {
            for step in 0..<20 { _ = try await log.append([new("t", "\(task)/\(step)")]) }
          }
        }
        try await tasks.waitForAll()
      }
      let reader = try await log.reader(of: [at("t"): .earliest], options: ReaderOptions())
      let records = try await reader.take(160)
      try expectEqual(Set(records.map(\.text)).count, 160, "distinct records")
      try expectEqual(try await log.watermarks(of: at("t")), Watermarks(low: 0, high: 160))
      await reader.close()
    },
    ContractCase("what was acknowledged is there when the log is opened again") { harness, log in
      try await log.create([TopicConfiguration(name: "t")])
      _ = try await log.append([new("t", "a"), new("t", "b")])
      try await log.close()
      try await log.close()
      try await expectError(.closed) { _ = try await log.append([new("t", "c")]) }
      try await expectError(.closed) { _ = try await log.topics() }
      let again = try await harness.open()
      let reader = try await again.reader(of: [at("t"): .earliest], options: ReaderOptions())
      try expectEqual(try await reader.take(2).map(\.text), ["a", "b"])
      try await again.close()
      try await expectError(.closed) { _ = try await reader.next(maximum: 1, timeout: .zero) }
    },
  ]
}

func at(_ topic: String, _ partition: Int = 0) -> TopicPartition { TopicPartition(topic: topic, partition: partition) }
