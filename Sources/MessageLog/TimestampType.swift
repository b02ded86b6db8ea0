/// Who stamps a topic's records.
public enum TimestampType: String, Sendable, Hashable, CaseIterable {
  /// The writer; the log stamps only records that bring no time.
  case create
  /// The log, when it appends.
  case logAppend
}
