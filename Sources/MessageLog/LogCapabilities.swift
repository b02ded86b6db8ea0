/// What a log really does, so that callers and tests need not guess.
public struct LogCapabilities: Sendable, Hashable, CustomStringConvertible {
  /// The log's kind in a few words, for messages.
  public var name: String
  /// Appends and offset commits are one atomic transaction, hidden from readers until committed.
  public var transactions: Bool
  /// A new transactional writer shuts out older ones with its id.
  public var fencing: Bool
  /// Group members share partitions, and take over from members that are gone.
  public var groups: Bool
  /// An offset commit by a member that lost the partition is refused, in transactions too.
  public var groupFencing: Bool
  /// Topics can be compacted by key.
  public var compaction: Bool
  /// Topics can drop records by age and size.
  public var retention: Bool
  /// `maintain()` compacts and drops at once, rather than when the log finds time.
  public var maintenanceOnDemand: Bool
  /// Offsets can be looked up by time.
  public var offsetsForTimes: Bool
  /// Topics can stamp records as they are appended.
  public var logAppendTime: Bool
  /// Topics can be created, listed and compared.
  public var topicAdministration: Bool
  /// Single records can be erased at once, wherever they lie.
  public var erasure: Bool
  /// What was acknowledged survives a loss of power.
  public var durable: Bool

  /// A statement of capabilities; everything unless said otherwise, but for erasure, which few logs have.
  public init(
    name: String, transactions: Bool = true, fencing: Bool = true, groups: Bool = true, groupFencing: Bool = true,
    compaction: Bool = true, retention: Bool = true, maintenanceOnDemand: Bool = true, offsetsForTimes: Bool = true,
    logAppendTime: Bool = true, topicAdministration: Bool = true, erasure: Bool = false,
    durable: Bool = true
  ) {
    self.name = name
    self.transactions = transactions
    self.fencing = fencing
    self.groups = groups
    self.groupFencing = groupFencing
    self.compaction = compaction
    self.retention = retention
    self.maintenanceOnDemand = maintenanceOnDemand
    self.offsetsForTimes = offsetsForTimes
    self.logAppendTime = logAppendTime
    self.topicAdministration = topicAdministration
    self.erasure = erasure
    self.durable = durable
  }

  /// Each capability with its name, in declaration order.
  public var all: [(name: String, holds: Bool)] {
    [
      ("transactions", transactions), ("fencing", fencing), ("groups", groups), ("groupFencing", groupFencing),
      ("compaction", compaction), ("retention", retention), ("maintenanceOnDemand", maintenanceOnDemand),
      ("offsetsForTimes", offsetsForTimes), ("logAppendTime", logAppendTime),
      ("topicAdministration", topicAdministration), ("erasure", erasure), ("durable", durable),
    ]
  }

  /// One line: the name and what is missing.
  public var description: String {
    let missing = all.filter { !$0.holds }.map(\.name)
    return missing.isEmpty ? "\(name): everything" : "\(name): without \(missing.joined(separator: ", "))"
  }
}
