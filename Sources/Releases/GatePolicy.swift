/// What a candidate must show to be promoted.
public struct GatePolicy: Sendable, Hashable {
  /// Fewest gate samples for a verdict; default 100.
  public var minimumSamples: Int
  /// The lower bound of (candidate − incumbent) must lie above minus this, unless the difference itself is ≥ 0; default 0.02.
  public var margin: Double
  /// How much exact match compression may cost against the unpruned parent; default 0.02.
  public var compressionMargin: Double
  /// How far below the best release ever the candidate may be, so that small steps do not add up; default 0.03.
  public var bestMargin: Double
  /// Exact match that a candidate must reach in any case; default 0.
  public var floor: Double

  /// A policy; the defaults are stated above.
  public init(
    minimumSamples: Int = 100, margin: Double = 0.02, compressionMargin: Double = 0.02, bestMargin: Double = 0.03,
    floor: Double = 0
  ) {
    self.minimumSamples = minimumSamples
    self.margin = margin
    self.compressionMargin = compressionMargin
    self.bestMargin = bestMargin
    self.floor = floor
  }
}
