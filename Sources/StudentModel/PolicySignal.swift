/// How much better than expected each sampled token of a batch was, and how probable it was when it was sampled.
///
/// The loss of a target is −min(ρ·A, clip(ρ, 1 − low, 1 + high)·A), with ρ = p(token) now / p(token) when sampled.
/// Reference: Schulman et al. 2017, arXiv 1707.06347, equation 7; Yu et al. 2025, arXiv 2503.14476, section 3.1 (bounds of
/// their own above and below).
public struct PolicySignal: Sendable, Hashable {
  /// A, of each target row in order.
  public var advantages: [Float]
  /// log p(token) when it was sampled, of each target row; `nil`: it was sampled from the student as it is, all ρ are 1.
  public var sampledLogProbabilities: [Float]?
  /// How far ρ may fall below 1 before a token no longer counts, 0…1.
  public var clipLow: Float
  /// How far ρ may rise above 1 before a token no longer counts, ≥ 0.
  public var clipHigh: Float

  /// A signal.
  public init(
    advantages: [Float], sampledLogProbabilities: [Float]? = nil, clipLow: Float = 0.2, clipHigh: Float = 0.28
  ) {
    self.advantages = advantages
    self.sampledLogProbabilities = sampledLogProbabilities
    self.clipLow = clipLow
    self.clipHigh = clipHigh
  }
}
