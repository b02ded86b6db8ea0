/// What every log checks before it does as it is asked.
package enum LogChecks {
  /// A group's name, and what it reads.
  ///
  /// - Throws: `.invalid`.
  package static func group(_ name: String, topics: [String]) throws(MessageLogError) {
    guard (1...249).contains(name.utf8.count), !topics.isEmpty else {
      throw MessageLogError(
        .invalid, "a group reader needs a group and topics", expected: "a name of 1 to 249 bytes, and a topic",
        found: "a name of \(name.utf8.count) bytes and \(topics.count) topics", advice: "name both")
    }
  }

  /// A transactional id.
  ///
  /// - Throws: `.invalid`.
  package static func transactionalID(_ id: String) throws(MessageLogError) {
    guard (1...1000).contains(id.utf8.count) else {
      throw MessageLogError(
        .invalid, "a transactional id has the wrong length", expected: "1 to 1,000 bytes",
        found: "\(id.utf8.count) bytes", advice: "choose another id")
    }
  }

  /// How many records a reader is asked for.
  ///
  /// - Throws: `.invalid`.
  package static func maximum(_ maximum: Int) throws(MessageLogError) {
    guard maximum > 0 else {
      throw MessageLogError(
        .invalid, "a reader was asked for no records", expected: "maximum above 0", found: "\(maximum)",
        advice: "ask for at least one")
    }
  }

  /// What a topic demands of a record.
  ///
  /// - Throws: `.tooLarge`, `.invalid`.
  package static func record(_ record: NewRecord, in topic: TopicConfiguration) throws(MessageLogError) {
    guard record.byteCount <= topic.maximumMessageBytes else {
      throw MessageLogError(
        .tooLarge, "the record exceeds the topic's limit", topic: topic.name,
        expected: "at most \(topic.maximumMessageBytes) bytes of key, value and headers",
        found: "\(record.byteCount)", advice: "make the record smaller, or raise the topic's limit")
    }
    guard record.key != nil || !topic.cleanup.contains(.compact) else {
      throw MessageLogError(
        .invalid, "a record without a key cannot go into a compacted topic", topic: topic.name, expected: "a key",
        advice: "give the record a key")
    }
  }
}

extension MessageLogError {
  /// The error for a partition that a reader does not have.
  package static func notAssigned(_ place: TopicPartition) -> MessageLogError {
    MessageLogError(
      .invalid, "the partition is not assigned to this reader", topic: place.topic, partition: place.partition,
      advice: "seek only in assigned partitions")
  }
}
