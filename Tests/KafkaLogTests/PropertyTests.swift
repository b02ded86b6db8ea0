import KafkaLog
import MessageLog
import Testing

@Suite("Properties: what a user may set, and what never shows")
struct PropertyTests {
  @Test("what the log's promises rest on is refused by name")
  func owned() {
    for name in [
      "group.id", "isolation.level", "transactional.id", "enable.auto.commit", "bootstrap.servers", "log_cb",
    ] {
      let error = #expect(throws: MessageLogError.self) { try KafkaLog.validate([name: "x"]) }
      #expect(error?.code == .invalid && error?.description.contains(name) == true)
    }
  }

  @Test("an unknown property and a bad value are named, a secret's value is not")
  func bad() {
    let unknown = #expect(throws: MessageLogError.self) { try KafkaLog.validate(["linger.mss": "1"]) }
    #expect(unknown?.description.contains("linger.mss") == true)
    let together = #expect(throws: MessageLogError.self) { try KafkaLog.validate(["retries": "0"]) }
    #expect(together?.description.contains("retries") == true, "\(String(describing: together))")
    let value = #expect(throws: MessageLogError.self) { try KafkaLog.validate(["security.protocol": "carrier pigeon"]) }
    #expect(value?.description.contains("security.protocol") == true)
    let properties = ClientProperties(.appending, servers: "h:1", properties: ["sasl.password": "hunter2"])
    #expect(properties.redacted("bad password hunter2, hunter2!") == "bad password …, …!")
    #expect(!properties.refused("sasl.password", reason: "hunter2").description.contains("hunter2"))
  }

  @Test("a user's value goes over a default and never over a promise; static membership is for members only")
  func layers() {
    func value(_ role: ClientProperties.Role, _ name: String) -> String? {
      ClientProperties(role, servers: "h:1", properties: ["linger.ms": "7", "group.instance.id": "i", "acks": "0"])
        .settings.first { $0.name == name }?.value
    }
    #expect(value(.appending, "linger.ms") == "7")
    #expect(value(.appending, "enable.idempotence") == "true")
    #expect(value(.reading(ReaderOptions()), "group.instance.id") == nil)
    #expect(value(.member(group: "g", ReaderOptions()), "group.instance.id") == "i")
    #expect(value(.member(group: "g", ReaderOptions()), "isolation.level") == "read_committed")
    let small = ReaderOptions(maximumPrefetch: 5, maximumPrefetchBytes: 10_240)
    #expect(value(.reading(small), "queued.max.messages.kbytes") == "10")
    #expect(value(.reading(small), "queued.min.messages") == "5")
    #expect(value(.reading(small), "fetch.message.max.bytes") == "1048576")
    #expect(value(.reading(ReaderOptions()), "fetch.message.max.bytes") == "4194304")
  }

  @Test("a topic's configuration survives the way to Kafka's terms and back")
  func topics() {
    let cases = [
      TopicConfiguration(name: "keep"), TopicConfiguration(name: "delete", cleanup: [.delete]),
      TopicConfiguration(name: "week", partitions: 4, cleanup: [.delete], retentionMilliseconds: 604_800_000),
      TopicConfiguration(name: "compact", cleanup: [.compact], timestampType: .logAppend),
      TopicConfiguration(
        name: "both", partitions: 3, cleanup: [.compact, .delete], retentionMilliseconds: 1000, retentionBytes: 5000,
        maximumMessageBytes: 2000, minimumCompactionLagMilliseconds: 5, deleteRetentionMilliseconds: 6),
    ]
    for topic in cases {
      let found = TopicSettings.configuration(
        name: topic.name, partitions: topic.partitions, settings: TopicSettings.settings(of: topic))
      #expect(found == topic.canonical)
    }
    #expect(TopicSettings.settings(of: cases[0])["retention.ms"] == "-1")
    #expect(TopicSettings.settings(of: cases[3])["retention.ms"] == nil)
    // Where tombstones stay long, for deletion requests, a topic is made to be compacted within a day.
    for topic in cases { #expect(TopicSettings.settingsWhenMade(of: topic) == TopicSettings.settings(of: topic)) }
    var samples = cases[3]
    samples.deleteRetentionMilliseconds = 90 * 86_400_000
    #expect(TopicSettings.settingsWhenMade(of: samples)["max.compaction.lag.ms"] == "86400000")
    #expect(TopicSettings.settings(of: samples)["max.compaction.lag.ms"] == nil)
  }

  @Test("a member's serialised identity is read, and what is not one is not")
  func identity() {
    let plain: [UInt8] = Array("CGMDv2:".utf8) + [2, 1, 0, 0] + Array("grp\0mem\0\u{1}".utf8)
    #expect(GroupIdentity(plain)?.generation == 258)
    #expect(GroupIdentity(plain)?.member == "mem")
    #expect(GroupIdentity(plain)?.instance == nil)
    let fixed: [UInt8] = Array("CGMDv2:".utf8) + [2, 1, 0, 0] + Array("grp\0mem\0\0inst\0".utf8)
    #expect(GroupIdentity(fixed)?.instance == "inst")
    for length in 0..<plain.count {
      #expect(GroupIdentity(Array(plain.prefix(length)))?.member != "mem" || length > 14)
    }
    #expect(GroupIdentity([]) == nil)
  }
}
