/// The bounds of what can be read from a partition.
public struct Watermarks: Sendable, Hashable {
  /// The oldest offset that can be read; what lies below was removed.
  public var low: Int64
  /// The offset that the next record will have; only committed records lie below.
  public var high: Int64

  /// Bounds, `low <= high`.
  public init(low: Int64, high: Int64) {
    self.low = low
    self.high = high
  }
}
