import CKernels

/// How a student's weights begin when there is no base model.
///
/// Norm weights start at 1, biases at 0, matrices normally distributed; element i of tensor t is a function of (seed, t, i) alone.
public struct Initialization: Sendable, Hashable {
  /// Standard deviation of the token embedding.
  public var embeddingDeviation: Double
  /// Linear layers start with a standard deviation of this over √fan-in.
  public var linearGain: Double
  /// Whether the projections that write into the residual stream (`o_proj`, `down_proj`) are further divided by √(2L).
  ///
  /// Reference: Radford et al. 2019 (GPT-2), section 2.3.
  public var scalesResidualProjections: Bool

  /// Makes a recipe; the defaults are the ones that learn to copy soonest on short requests.
  public init(embeddingDeviation: Double = 0.07, linearGain: Double = 0.8, scalesResidualProjections: Bool = true) {
    self.embeddingDeviation = embeddingDeviation
    self.linearGain = linearGain
    self.scalesResidualProjections = scalesResidualProjections
  }

  /// Fills the `index`-th tensor of the canonical order.
  func fill(
    _ weights: UnsafeMutablePointer<Float>, _ entry: ParameterLayout.Entry, index: Int, seed: UInt64, layerCount: Int
  ) {
    if let deviation = deviation(of: entry, layerCount: layerCount) {
      retort_fill_normal(entry.count, seed, UInt64(index), deviation, weights)
    } else {
      weights.update(repeating: entry.name.hasSuffix(".bias") ? 0 : 1, count: entry.count)
    }
  }

  /// The standard deviation of one tensor, or nil for those that are constant.
  func deviation(of entry: ParameterLayout.Entry, layerCount: Int) -> Double? {
    guard entry.shape.count == 2 else { return nil }
    if entry.name == "model.embed_tokens.weight" { return embeddingDeviation }
    let deviation = linearGain / Double(entry.shape[1]).squareRoot()
    let isResidual = entry.name.hasSuffix(".o_proj.weight") || entry.name.hasSuffix(".down_proj.weight")
    return isResidual && scalesResidualProjections ? deviation / Double(2 * layerCount).squareRoot() : deviation
  }
}
