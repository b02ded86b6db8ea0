public import Topics

/// A place in the sample log at which a release is due.
public struct ReleasePoint: Sendable, Hashable {
  /// The number of the release point; the first is 1.
  public let number: Int
  /// The rounds done.
  public let round: Int
  /// The train samples learned from so far.
  public let samplesLearned: Int
  /// The train samples learned since the release point before.
  public let newSamples: Int
  /// Whether a cut record asked for it.
  public let wasAsked: Bool
  /// The chain of everything consumed.
  public let chain: Digest
}
