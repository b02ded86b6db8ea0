extension SQLiteLog {
  /// How an embedded log is opened; every option has a default.
  public struct Options: Sendable, Hashable {
    /// How long to wait for another process that is writing. Default: 10 s.
    public var busyTimeout: Duration
    /// How often appending starts compaction and retention in the background; nil leaves them to `maintain()`.
    /// Processes on one file share the interval. Default: 60 s.
    public var maintenanceInterval: Duration?
    /// The size beyond which the file does not grow, in bytes; appends then throw `.full`. Default: none.
    public var maximumBytes: Int64?
    /// How many reads run side by side, 1 to 64. Default: 4.
    public var maximumReaders: Int

    /// Options.
    public init(
      busyTimeout: Duration = .seconds(10), maintenanceInterval: Duration? = .seconds(60), maximumBytes: Int64? = nil,
      maximumReaders: Int = 4
    ) {
      self.busyTimeout = busyTimeout
      self.maintenanceInterval = maintenanceInterval
      self.maximumBytes = maximumBytes
      self.maximumReaders = maximumReaders
    }
  }
}
