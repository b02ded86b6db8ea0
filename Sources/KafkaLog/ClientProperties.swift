package import MessageLog

/// The librdkafka properties of one client: our defaults, under what the user says, under what we own.
package struct ClientProperties: Sendable {
  /// What a client is for.
  package enum Role: Sendable {
    /// Looks at the cluster and changes topics.
    case administration
    /// Is asked what a group has committed.
    case offsets(group: String)
    /// Appends without transactions.
    case appending
    /// Appends in transactions.
    case transactions(id: String)
    /// Reads given partitions.
    case reading(ReaderOptions)
    /// Reads as a member of a group.
    case member(group: String, ReaderOptions)
  }

  /// Names and values, in an order that librdkafka accepts.
  package let settings: [(name: String, value: String)]
  /// Whether the client takes part in rebalances.
  package let isGroupMember: Bool
  /// What the client is for, in a word: a label of metrics.
  package let role: String

  /// Properties whose values are decided here, because what ``KafkaLog`` promises rests on them.
  package static let owned: Set<String> = [
    "bootstrap.servers", "metadata.broker.list", "group.id", "enable.auto.commit", "enable.auto.offset.store",
    "auto.commit.interval.ms", "auto.commit.enable", "auto.offset.reset", "isolation.level", "transactional.id",
    "enable.idempotence", "enable.gapless.guarantee", "partition.assignment.strategy", "enable.partition.eof",
    "group.protocol.type", "offset.store.method", "acks", "request.required.acks", "partitioner",
    "allow.auto.create.topics", "message.max.bytes", "delivery.report.only.error", "produce.offset.report",
    "topic.blacklist", "interceptors",
  ]

  /// Properties that hold secrets: they never stand in a file of settings, a message or a line of logging.
  package static let secret: Set<String> = [
    "sasl.password", "ssl.key.password", "ssl.keystore.password", "ssl.key.pem", "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
  ]

  /// The properties of a client.
  package init(_ role: Role, servers: String, properties: [String: String]) {
    var all = Self.defaults(role)
    for (name, value) in properties { all[name] = value }
    if case .member = role {} else { all["group.instance.id"] = nil }
    for (name, value) in Self.decided(role) { all[name] = value }
    all["bootstrap.servers"] = servers
    settings = all.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    if case .member = role { isGroupMember = true } else { isGroupMember = false }
    self.role =
      switch role {
      case .administration: "admin"
      case .offsets: "offsets"
      case .appending: "append"
      case .transactions: "transaction"
      case .reading: "read"
      case .member: "member"
      }
  }

  /// Says whether a user may set these properties.
  ///
  /// - Throws: `.invalid`, naming the first that is ours.
  package static func validate(_ properties: [String: String]) throws(MessageLogError) {
    if let name = properties.keys.sorted().first(where: { owned.contains($0) || $0.hasSuffix("_cb") }) {
      throw MessageLogError(
        .invalid, "the property \(name) cannot be set: what the log promises rests on its value",
        advice: "remove it from log.kafka")
    }
  }

  /// The error for a property that librdkafka does not take.
  package func refused(_ name: String, reason: String) -> MessageLogError {
    MessageLogError(
      .invalid, "librdkafka refuses the property \(name)",
      found: Self.secret.contains(name)
        ? "a value that is kept secret" : redacted(String(reason.prefix { $0 != "\n" })),
      advice: "correct it under log.kafka; CONFIGURATION.md of librdkafka lists all properties")
  }

  /// A text without the values of secret properties.
  package func redacted(_ text: String) -> String {
    var text = text
    for (name, value) in settings where Self.secret.contains(name) && value.count > 2 {
      text = text.replacing(value, with: "…")
    }
    return text
  }

  /// Values that a user may change.
  private static func defaults(_ role: Role) -> [String: String] {
    var all = [
      "client.id": "retort", "log_level": "6", "socket.keepalive.enable": "true",
      "reconnect.backoff.max.ms": "2000", "socket.nagle.disable": "true", "statistics.interval.ms": "5000",
    ]
    switch role {
    case .administration, .offsets: break
    case .appending, .transactions:
      all["linger.ms"] = "1"
      all["compression.codec"] = "lz4"
      all["delivery.timeout.ms"] = "120000"
      all["queue.buffering.max.kbytes"] = "131072"
      if case .transactions = role {
        // A transaction lasts milliseconds; this bounds how long one that was left open by a dead process stops readers.
        all["transaction.timeout.ms"] = "15000"
        all["delivery.timeout.ms"] = "15000"
      }
    case .reading(let options), .member(_, let options):
      // How soon a full queue is looked at again; what came before waits a second.
      if !FetchPause.isLong { all["fetch.queue.backoff.ms"] = "10" }
      let kilobytes = max(1, min(2_097_151, options.maximumPrefetchBytes / 1024))
      all["queued.max.messages.kbytes"] = String(kilobytes)
      // What a partition may send at once: a reader that catches up waits for each answer.
      all["fetch.message.max.bytes"] = String(max(1 << 20, min(4 << 20, options.maximumPrefetchBytes / 4)))
      all["queued.min.messages"] = String(options.maximumPrefetch)
      all["fetch.wait.max.ms"] = String(options.endNotice.wholeMilliseconds)
      all["fetch.error.backoff.ms"] = "100"
      if case .member = role {
        let session = options.sessionTimeout.wholeMilliseconds
        all["session.timeout.ms"] = String(session)
        // How late new partitions are seen; by default five minutes.
        all["topic.metadata.refresh.interval.ms"] = "30000"
        all["heartbeat.interval.ms"] = String(max(1, min(3000, session / 3)))
        all["max.poll.interval.ms"] = String(max(300_000, session))
      }
    }
    return all
  }

  /// Values that a user may not change.
  private static func decided(_ role: Role) -> [String: String] {
    switch role {
    case .administration:
      // What is in doubt counts as there: who reads up to the end waits until it is decided.
      return ["isolation.level": "read_uncommitted"]
    case .offsets(let group):
      // Read committed: a position that a transaction is about to decide is waited for.
      return [
        "group.id": group, "enable.auto.commit": "false", "enable.auto.offset.store": "false",
        "isolation.level": "read_committed",
      ]
    case .appending:
      return ["enable.idempotence": "true", "message.max.bytes": "1000000000"]
    case .transactions(let id):
      return ["transactional.id": id, "message.max.bytes": "1000000000"]
    case .reading, .member:
      var all = [
        "enable.auto.commit": "false", "enable.auto.offset.store": "false", "auto.offset.reset": "error",
        "isolation.level": "read_committed", "enable.partition.eof": "true", "group.id": "retort",
      ]
      if case .member(let group, _) = role {
        all["group.id"] = group
        all["partition.assignment.strategy"] = "cooperative-sticky"
      }
      return all
    }
  }
}

extension Duration {
  /// Milliseconds, rounded down.
  var wholeMilliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}
