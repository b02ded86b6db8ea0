package import MessageLog

/// A topic's configuration in Kafka's terms, and back.
package enum TopicSettings {
  /// Room for the framing that Kafka counts against `max.message.bytes` and ``TopicConfiguration`` does not.
  package static let framingBytes = 1024

  /// Kafka's settings for a topic.
  package static func settings(of topic: TopicConfiguration) -> [String: String] {
    let topic = topic.canonical
    let policies = topic.cleanup.isEmpty ? [.delete] : topic.cleanup
    var settings = [
      "cleanup.policy": policies.map(\.rawValue).sorted().joined(separator: ","),
      "max.message.bytes": String(topic.maximumMessageBytes + framingBytes),
      "message.timestamp.type": topic.timestampType == .logAppend ? "LogAppendTime" : "CreateTime",
      "min.compaction.lag.ms": String(topic.minimumCompactionLagMilliseconds),
      "delete.retention.ms": String(topic.deleteRetentionMilliseconds),
    ]
    // Without the policy delete Kafka does not look at these, and an operator's values may stay.
    if policies.contains(.delete) {
      settings["retention.ms"] = String(topic.retentionMilliseconds ?? -1)
      settings["retention.bytes"] = String(topic.retentionBytes ?? -1)
    }
    return settings
  }

  /// A topic's settings where it is made; on one that is there an operator's own value of what is only here stays.
  package static func settingsWhenMade(of topic: TopicConfiguration) -> [String: String] {
    var settings = settings(of: topic)
    // Tombstones stay longer than Kafka's day where deletion requests rest on them: then what they erase goes within that day, and not
    // when a segment is full and half of the topic is dirty.
    if topic.cleanup.contains(.compact), topic.deleteRetentionMilliseconds > day {
      settings["max.compaction.lag.ms"] = String(day)
    }
    return settings
  }

  private static let day: Int64 = 86_400_000

  /// The configuration that a topic with these settings has; what is not set is as Kafka's default.
  package static func configuration(name: String, partitions: Int, settings: [String: String]) -> TopicConfiguration {
    func number(_ key: String, _ standard: Int64) -> Int64 { settings[key].flatMap { Int64($0) } ?? standard }
    func limit(_ key: String) -> Int64? {
      let value = number(key, -1)
      return value < 0 ? nil : value
    }
    let policies = (settings["cleanup.policy"] ?? "delete").split(separator: ",").compactMap {
      CleanupPolicy(rawValue: String($0).trimmed)
    }
    return TopicConfiguration(
      name: name, partitions: partitions, cleanup: Set(policies), retentionMilliseconds: limit("retention.ms"),
      retentionBytes: limit("retention.bytes"),
      maximumMessageBytes: max(1, Int(number("max.message.bytes", 1_048_588)) - framingBytes),
      timestampType: settings["message.timestamp.type"] == "LogAppendTime" ? .logAppend : .create,
      minimumCompactionLagMilliseconds: number("min.compaction.lag.ms", 0),
      deleteRetentionMilliseconds: number("delete.retention.ms", day)
    ).canonical
  }
}

extension String {
  fileprivate var trimmed: String {
    String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
  }
}
