public import MessageLog

/// Opens logs of one kind for the contract suite.
public struct LogHarness: Sendable {
  /// Opens the log: the first call makes a fresh, empty one, later calls open the same one as another process would.
  public var open: @Sendable () async throws -> any MessageLog
  /// Ends a log as a killed process does, without leaving groups; nil where that cannot be done.
  public var abandon: (@Sendable (any MessageLog) async throws -> Void)?
  /// Removes what was made.
  public var cleanUp: @Sendable () async -> Void
  /// The lease of group members: as short as the log allows, so that tests are quick.
  public var sessionTimeout: Duration
  /// Ample time for a rebalance.
  public var patience: Duration
  /// How soon a waiting reader must see another process's commit.
  public var wakeUp: Duration

  /// A harness; its patience is four leases and 5 s where nothing else is said.
  public init(
    sessionTimeout: Duration, patience: Duration? = nil, wakeUp: Duration = .milliseconds(20),
    open: @escaping @Sendable () async throws -> any MessageLog,
    abandon: (@Sendable (any MessageLog) async throws -> Void)? = nil,
    cleanUp: @escaping @Sendable () async -> Void = {}
  ) {
    self.sessionTimeout = sessionTimeout
    self.patience = patience ?? sessionTimeout * 4 + .seconds(5)
    self.wakeUp = wakeUp
    self.open = open
    self.abandon = abandon
    self.cleanUp = cleanUp
  }

  var options: ReaderOptions { ReaderOptions(sessionTimeout: sessionTimeout) }
}
