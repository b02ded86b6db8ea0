/// Where reading a partition begins.
public enum StartPosition: Sendable, Hashable {
  /// At the oldest record that is still there.
  case earliest
  /// After the newest committed record.
  case latest
  /// At this offset, or the next record after it where there is a hole.
  case offset(Int64)
  /// At the first record whose timestamp, in milliseconds since 1970, is this or later; at the end where none is.
  case timestamp(Int64)
}
