/// What compaction and retention removed.
public struct MaintenanceReport: Sendable, Hashable {
  /// Records removed because a later record has their key, tombstones past their grace included.
  public var compactedRecords: Int
  /// Records removed because of age or size.
  public var expiredRecords: Int
  /// Stored bytes given back.
  public var removedBytes: Int64

  /// A report.
  public init(compactedRecords: Int = 0, expiredRecords: Int = 0, removedBytes: Int64 = 0) {
    self.compactedRecords = compactedRecords
    self.expiredRecords = expiredRecords
    self.removedBytes = removedBytes
  }
}
