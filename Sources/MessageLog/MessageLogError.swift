/// Why a log did not do what it was asked to.
public struct MessageLogError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The kind of error: bounded, also the label of metrics and the reason of dead letters.
  public enum Code: String, Sendable, Hashable, CaseIterable {
    /// A newer writer has taken over the transactional id, for good; or, where a retry can help, another group member the
    /// partition: then the writer is sound, and the member reads on from what the group has committed.
    case fenced
    /// The topic or partition does not exist.
    case unknownTopic = "unknown_topic"
    /// The topic exists with another configuration.
    case conflict
    /// The offset was removed, or does not exist yet.
    case outOfRange = "out_of_range"
    /// The record exceeds the topic's limit.
    case tooLarge = "too_large"
    /// The disk or quota is full.
    case full
    /// The log or its folder may not be written.
    case readOnly = "read_only"
    /// Stored bytes are damaged, or are not a log.
    case corrupt
    /// The log cannot be reached, or is busy.
    case unavailable
    /// The caller asked for something that cannot be.
    case invalid
    /// The log, reader or writer has been closed.
    case closed
    /// This log has no such ability.
    case unsupported
  }

  /// The kind of error.
  public let code: Code
  /// What went wrong, in a few words.
  public let message: String
  /// The topic it is about.
  public let topic: String?
  /// The partition it is about.
  public let partition: Int?
  /// The offset it is about.
  public let offset: Int64?
  /// What was expected.
  public let expected: String?
  /// What was found instead.
  public let found: String?
  /// What to do next.
  public let advice: String
  /// Whether the same call may succeed later.
  public let isRetriable: Bool

  /// An error; `isRetriable` is by default true for `.unavailable` and `.full` only.
  public init(
    _ code: Code, _ message: String, topic: String? = nil, partition: Int? = nil, offset: Int64? = nil,
    expected: String? = nil, found: String? = nil, advice: String, isRetriable: Bool? = nil
  ) {
    self.code = code
    self.message = message
    self.topic = topic
    self.partition = partition
    self.offset = offset
    self.expected = expected
    self.found = found
    self.advice = advice
    self.isRetriable = isRetriable ?? (code == .unavailable || code == .full)
  }

  /// Whether the object that threw is spent: make a new one, or stop.
  public var isFatal: Bool {
    switch code {
    case .fenced: !isRetriable
    case .corrupt, .readOnly, .closed, .unsupported: true
    case .unknownTopic, .conflict, .outOfRange, .tooLarge, .full, .unavailable, .invalid: false
    }
  }

  /// One sentence: code, what, where, expected and found, what to do.
  public var description: String {
    var text = "\(code.rawValue): \(message)"
    if let topic {
      text += " (\(topic)"
      if let partition { text += "/\(partition)" }
      if let offset { text += " at offset \(offset)" }
      text += ")"
    }
    if let expected { text += ", expected \(expected)" }
    if let found { text += "\(expected == nil ? ":" : ", found") \(found)" }
    return text + "; \(advice)"
  }
}

extension MessageLogError {
  /// The error for a topic or partition that is not there.
  public static func unknown(_ topic: String, partition: Int? = nil) -> MessageLogError {
    MessageLogError(
      .unknownTopic, partition == nil ? "there is no such topic" : "the topic has no such partition",
      topic: String(topic.prefix(249)), partition: partition, advice: "create it, or correct the name")
  }

  /// The error for a topic that was to lose partitions.
  public static func fewerPartitions(_ topic: TopicConfiguration, than existing: Int) -> MessageLogError {
    MessageLogError(
      .invalid, "a topic cannot have fewer partitions than it has", topic: topic.name,
      expected: "\(existing) or more", found: "\(topic.partitions)",
      advice: "keep its partitions, or make another topic")
  }

  /// The error for an offset outside what can be read; names the range that is missing or not yet there.
  public static func outOfRange(_ at: TopicPartition, offset: Int64, watermarks: Watermarks) -> MessageLogError {
    let missing =
      offset < watermarks.low
      ? "offsets \(offset) to \(watermarks.low - 1) are no longer in the log"
      : "offset \(offset) lies beyond the end"
    return MessageLogError(
      .outOfRange, missing, topic: at.topic, partition: at.partition, offset: offset,
      expected: "an offset from \(watermarks.low) to \(watermarks.high)", found: "\(offset)",
      advice: offset < watermarks.low
        ? "go on at the earliest offset without them, or restore them"
        : "choose an offset that exists; where the topic was deleted and made anew, start over under another prefix")
  }

  /// The error for a log, reader or writer that was closed.
  public static func closed(_ what: String) -> MessageLogError {
    MessageLogError(.closed, "the \(what) is closed", advice: "open a new one")
  }
}
