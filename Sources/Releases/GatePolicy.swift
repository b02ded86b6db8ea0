/// What a candidate must show to be promoted.
public struct GatePolicy: Sendable, Hashable {
  /// Fewest gate samples of different requests for a verdict; default 100.
  public var minimumSamples: Int
  /// The lower bound of (candidate − incumbent) must lie above minus this, unless the difference itself is ≥ 0; default 0.02.
  public var margin: Double
  /// With which probability, at most, a candidate that is worse than the incumbent by the margin passes in any of its tries
  /// against one incumbent; default 0.4, half of it for the first try.
  public var alpha: Double
  /// How much exact match compression may cost against the unpruned parent; twice as much where the difference cannot be
  /// told from nothing; default 0.02.
  public var compressionMargin: Double
  /// How far below the best release ever the candidate may be, so that small steps do not add up; default 0.03.
  public var bestMargin: Double
  /// Exact match that a candidate must reach in any case; default 0.
  public var floor: Double
  /// With which probability, at most, a candidate that is as good on every function fails for one of them; default 0.05.
  public var sliceAlpha: Double
  /// From how many gate samples on a function is a slice of its own; those with fewer are judged together; default 20.
  public var sliceMinimum: Int
  /// Longest median answer on one thread in milliseconds; 0 is no limit; default 0.
  public var maximumLatency: Double
  /// Largest weights file in bytes; 0 is no limit; default 0.
  public var maximumBytes: Int64
  /// How many gate samples, the newest, a verdict looks at; default 4,000.
  public var window: Int

  /// A policy; the defaults are stated above.
  public init(
    minimumSamples: Int = 100, margin: Double = 0.02, alpha: Double = 0.4, compressionMargin: Double = 0.02,
    bestMargin: Double = 0.03, floor: Double = 0, sliceAlpha: Double = 0.05, sliceMinimum: Int = 20,
    maximumLatency: Double = 0, maximumBytes: Int64 = 0, window: Int = 4_000
  ) {
    self.minimumSamples = minimumSamples
    self.margin = margin
    self.alpha = alpha
    self.compressionMargin = compressionMargin
    self.bestMargin = bestMargin
    self.floor = floor
    self.sliceAlpha = sliceAlpha
    self.sliceMinimum = sliceMinimum
    self.maximumLatency = maximumLatency
    self.maximumBytes = maximumBytes
    self.window = window
  }

  /// The level of the `look`-th try (from 1) against one incumbent: alpha / (look · (look + 1)), which add up to alpha.
  ///
  /// Reference: Lan and DeMets 1983, "Discrete sequential boundaries for clinical trials" (spending a level over looks);
  /// here by the union bound, since the tries are of different candidates.
  public func level(ofLook look: Int) -> Double {
    let k = Double(max(1, look))
    return alpha / (k * (k + 1))
  }
}
