/// The learning rate as a function of the step: warm-up and constant on the trunk, a linear fall on a branch.
///
/// Reference: Hägele et al. 2024, "Scaling laws and compute-optimal training beyond fixed training durations",
/// arXiv 2405.18392 (constant rate with cooldown); we let the rate fall linearly.
public struct LearningRateSchedule: Sendable, Hashable {
  /// The rate after the warm-up.
  public let peak: Double
  /// The number of steps in which the rate rises linearly.
  public let warmupSteps: Int
  /// The rate at the end of a branch as a share of the peak.
  public let finalShare: Double

  /// The schedule of a recipe.
  public init(_ recipe: TrainingRecipe) {
    self.init(peak: recipe.learningRate, warmupSteps: recipe.warmupSteps, finalShare: recipe.finalRateShare)
  }

  /// A schedule from its three numbers.
  public init(peak: Double, warmupSteps: Int, finalShare: Double) {
    self.peak = peak
    self.warmupSteps = warmupSteps
    self.finalShare = finalShare
  }

  /// The trunk's rate at `step` (0 is the first): (step + 1) / warm-up of the peak, then the peak.
  public func trunk(step: Int) -> Double {
    step + 1 >= warmupSteps ? peak : peak * Double(step + 1) / Double(warmupSteps)
  }

  /// The rate at `step` of `count` steps of a fall from `start` to `finalShare` of it.
  public func decay(step: Int, of count: Int, from start: Double) -> Double {
    guard count > 1 else { return start * finalShare }
    let progress = Double(min(max(step, 0), count - 1)) / Double(count - 1)
    return start * (1 - (1 - finalShare) * progress)
  }
}
