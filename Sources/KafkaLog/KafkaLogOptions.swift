public import Logging

extension KafkaLog {
  /// How a log on Kafka is opened.
  public struct Options: Sendable {
    /// librdkafka's properties, by name: encryption, authentication, tuning. Those that the log's promises rest on are
    /// refused by ``KafkaLog/init(servers:options:)``.
    public var properties: [String: String]
    /// ``KafkaLog/topics()`` lists the topics whose names begin with this. Default: all.
    public var topicPrefix: String
    /// Replicas of topics that are created; -1 leaves it to the brokers. Default: -1.
    public var replicationFactor: Int
    /// Where librdkafka's own messages go.
    public var logger: Logger
    /// Whether the settings of topics are asked for and checked, and topics created and changed; without, they are taken as
    /// they are, by name and partitions. Default: true.
    public var managesTopics: Bool

    /// Options; every one has a default.
    public init(
      properties: [String: String] = [:], topicPrefix: String = "", replicationFactor: Int = -1,
      managesTopics: Bool = true, logger: Logger = Logger(label: "kafka") { _ in SwiftLogNoOpLogHandler() }
    ) {
      self.properties = properties
      self.topicPrefix = topicPrefix
      self.replicationFactor = replicationFactor
      self.managesTopics = managesTopics
      self.logger = logger
    }
  }
}
