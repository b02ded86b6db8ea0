/// A train sample that cannot be learned.
public struct SkippedSample: Sendable, Hashable {
  /// The identifier of the sample.
  public let id: String
  /// One sentence.
  public let reason: String
}
