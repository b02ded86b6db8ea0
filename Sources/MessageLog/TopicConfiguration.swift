/// What a topic is: its name, partitions, and how its records age.
public struct TopicConfiguration: Sendable, Hashable {
  /// The full name: 1 to 249 of `a-z A-Z 0-9 . _ -`.
  public var name: String
  /// Number of partitions, 1 to 10,000.
  public var partitions: Int
  /// How old records leave; empty keeps everything.
  public var cleanup: Set<CleanupPolicy>
  /// With ``CleanupPolicy/delete``: how long records stay, in milliseconds; nil is for ever.
  public var retentionMilliseconds: Int64?
  /// With ``CleanupPolicy/delete``: how many bytes a partition keeps at most; nil is no limit.
  public var retentionBytes: Int64?
  /// The largest record (key, value, headers) that is accepted, in bytes.
  public var maximumMessageBytes: Int
  /// Who stamps the records.
  public var timestampType: TimestampType
  /// With ``CleanupPolicy/compact``: records younger than this are not compacted, in milliseconds.
  public var minimumCompactionLagMilliseconds: Int64
  /// With ``CleanupPolicy/compact``: how long a tombstone stays readable, in milliseconds.
  public var deleteRetentionMilliseconds: Int64

  /// A topic; the defaults are Kafka's, except that nothing is deleted unless said.
  public init(
    name: String, partitions: Int = 1, cleanup: Set<CleanupPolicy> = [], retentionMilliseconds: Int64? = nil,
    retentionBytes: Int64? = nil, maximumMessageBytes: Int = 1_048_576, timestampType: TimestampType = .create,
    minimumCompactionLagMilliseconds: Int64 = 0, deleteRetentionMilliseconds: Int64 = 86_400_000
  ) {
    self.name = name
    self.partitions = partitions
    self.cleanup = cleanup
    self.retentionMilliseconds = retentionMilliseconds
    self.retentionBytes = retentionBytes
    self.maximumMessageBytes = maximumMessageBytes
    self.timestampType = timestampType
    self.minimumCompactionLagMilliseconds = minimumCompactionLagMilliseconds
    self.deleteRetentionMilliseconds = deleteRetentionMilliseconds
  }

  /// All the partitions, in order.
  public var topicPartitions: [TopicPartition] {
    (0..<max(0, partitions)).map { TopicPartition(topic: name, partition: $0) }
  }

  /// One form for configurations that mean the same: deleting without any bound is keeping everything, and bounds count
  /// only where something is deleted.
  public var canonical: TopicConfiguration {
    var topic = self
    if !topic.cleanup.contains(.delete) {
      topic.retentionMilliseconds = nil
      topic.retentionBytes = nil
    } else if topic.retentionMilliseconds == nil && topic.retentionBytes == nil {
      topic.cleanup.remove(.delete)
    }
    return topic
  }

  /// Says whether a log could hold this topic.
  ///
  /// - Throws: ``MessageLogError`` with `.invalid`, naming the setting.
  public func validate() throws(MessageLogError) {
    let legal = name.utf8.allSatisfy { byte in
      (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5A) || (byte >= 0x61 && byte <= 0x7A)
        || byte == 0x2E || byte == 0x5F || byte == 0x2D
    }
    guard legal, (1...249).contains(name.utf8.count), name != ".", name != ".." else {
      throw problem("a name of 1 to 249 of a-z A-Z 0-9 . _ -", "\(name.prefix(60).debugDescription)")
    }
    guard (1...10_000).contains(partitions) else { throw problem("1 to 10,000 partitions", "\(partitions)") }
    guard (1...1_000_000_000 - 65_536).contains(maximumMessageBytes) else {
      throw problem("maximumMessageBytes from 1 to 999,934,464", "\(maximumMessageBytes)")
    }
    for (label, value) in [
      ("retentionMilliseconds", retentionMilliseconds), ("retentionBytes", retentionBytes),
      ("minimumCompactionLagMilliseconds", minimumCompactionLagMilliseconds),
      ("deleteRetentionMilliseconds", deleteRetentionMilliseconds),
    ] {
      if let value, value < 0 { throw problem("\(label) of 0 or more, or none", "\(value)") }
    }
  }

  private func problem(_ expected: String, _ found: String) -> MessageLogError {
    MessageLogError(
      .invalid, "a topic's configuration does not hold", topic: String(name.prefix(249)), expected: expected,
      found: found, advice: "correct the topic's settings")
  }
}
