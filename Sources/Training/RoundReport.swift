/// One round: new samples predicted, then learned.
public struct RoundReport: Sendable, Hashable {
  /// The number of the round; the first is 1.
  public let round: Int
  /// The new train samples that were learned.
  public let newSamples: Int
  /// The new train samples that could not be learned, and why.
  public let skipped: [SkippedSample]
  /// How many of them bring soft targets for their answer; 0 where the recipe does not learn from log-probabilities.
  public let softSamples: Int
  /// How many bring log-probabilities of which no token is one of their answer's.
  public let unlikeSamples: Int
  /// The optimizer steps taken.
  public let steps: Int
  /// The samples presented, repetitions included.
  public let presentations: Int
  /// The tokens that went through the student, prompts included.
  public let tokens: Int
  /// The mean loss of a target token over the round, in nats.
  public let meanLoss: Double
  /// How well the trunk did on the new audited samples before it learned from them; `nil` without a predictor, and where it predicted
  /// none.
  public let prequential: PredictionTally?
}
