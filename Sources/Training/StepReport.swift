/// One optimizer step, for whoever shows progress.
public struct StepReport: Sendable, Hashable {
  /// What a student is doing.
  public enum Phase: Sendable, Hashable {
    /// Learns to copy from invented calls, before it has seen a sample.
    case lessons
    /// A round of the trunk.
    case round
    /// A candidate's rate falls.
    case branch
    /// A candidate learns what a teacher thinks of its answers (on-policy distillation).
    case imitation
    /// A candidate learns accepted answers of its own (rejection sampling).
    case rejection
    /// A candidate climbs the reward of its answers (reinforcement learning).
    case reward
    /// A pruned or rounded student recovers.
    case recovery
  }

  /// What the step belongs to.
  public let phase: Phase
  /// The number of the step within its phase; the first is 1.
  public let step: Int
  /// The number of steps of the phase.
  public let steps: Int
  /// The mean loss of a target token, in nats.
  public let meanLoss: Double
  /// The tokens of the batch, prompts included.
  public let tokens: Int
  /// The learning rate.
  public let rate: Double

  /// A report of these values.
  public init(phase: Phase, step: Int, steps: Int, meanLoss: Double, tokens: Int, rate: Double) {
    self.phase = phase
    self.step = step
    self.steps = steps
    self.meanLoss = meanLoss
    self.tokens = tokens
    self.rate = rate
  }
}
