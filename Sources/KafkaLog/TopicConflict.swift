import MessageLog

/// The error for a topic that exists with another configuration.
enum TopicConflict {
  static func error(found: TopicConfiguration, wanted: TopicConfiguration) -> MessageLogError {
    MessageLogError(
      .conflict, "the topic exists with another configuration", topic: wanted.name, expected: show(wanted, found),
      found: show(found, wanted), advice: "use the configuration it has, alter it, or use another name or prefix")
  }

  /// The settings of one in which it differs from the other.
  private static func show(_ topic: TopicConfiguration, _ other: TopicConfiguration) -> String {
    let settings = TopicSettings.settings(of: topic)
    let others = TopicSettings.settings(of: other)
    var parts = topic.partitions == other.partitions ? [] : ["\(topic.partitions) partitions"]
    for (name, value) in settings.sorted(by: { $0.key < $1.key }) where others[name] != value {
      parts.append("\(name) \(value)")
    }
    return parts.isEmpty ? "the same" : parts.joined(separator: ", ")
  }
}
