/// One optimizer step, for whoever shows progress.
public struct StepReport: Sendable, Hashable {
  /// Whether the step belongs to a branch (a release candidate) and not to the trunk.
  public let isBranch: Bool
  /// The number of the step within its round or branch; the first is 1.
  public let step: Int
  /// The number of steps of the round or branch.
  public let steps: Int
  /// The mean loss of a target token, in nats.
  public let meanLoss: Double
  /// The tokens of the batch, prompts included.
  public let tokens: Int
  /// The learning rate.
  public let rate: Double

  /// A report of these values.
  public init(isBranch: Bool, step: Int, steps: Int, meanLoss: Double, tokens: Int, rate: Double) {
    self.isBranch = isBranch
    self.step = step
    self.steps = steps
    self.meanLoss = meanLoss
    self.tokens = tokens
    self.rate = rate
  }
}
