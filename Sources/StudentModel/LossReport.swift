/// What one pass over a batch measured, summed over rows with a target in ascending order.
public struct LossReport: Sendable, Hashable {
  /// Σ weight · loss, the loss being (1 − klWeight)·cross-entropy + klWeight·divergence, in nats.
  public var lossSum: Double
  /// Σ weight.
  public var weightSum: Double
  /// Σ weight · cross-entropy, in nats.
  public var crossEntropySum: Double
  /// Σ weight · KL(teacher ‖ student), in nats; 0 without a teacher.
  public var divergenceSum: Double
  /// The number of rows with a target.
  public var targetCount: Int
  /// How many of them gave the target the highest logit.
  public var correctCount: Int

  /// Makes a report; all zero by default, the sum of no batches.
  public init(
    lossSum: Double = 0, weightSum: Double = 0, crossEntropySum: Double = 0, divergenceSum: Double = 0,
    targetCount: Int = 0, correctCount: Int = 0
  ) {
    self.lossSum = lossSum
    self.weightSum = weightSum
    self.crossEntropySum = crossEntropySum
    self.divergenceSum = divergenceSum
    self.targetCount = targetCount
    self.correctCount = correctCount
  }

  /// The weighted mean loss; 0 where no weight was.
  public var meanLoss: Double { weightSum > 0 ? lossSum / weightSum : 0 }

  /// The reports of two batches together.
  public static func + (a: LossReport, b: LossReport) -> LossReport {
    LossReport(
      lossSum: a.lossSum + b.lossSum, weightSum: a.weightSum + b.weightSum,
      crossEntropySum: a.crossEntropySum + b.crossEntropySum, divergenceSum: a.divergenceSum + b.divergenceSum,
      targetCount: a.targetCount + b.targetCount, correctCount: a.correctCount + b.correctCount)
  }
}
