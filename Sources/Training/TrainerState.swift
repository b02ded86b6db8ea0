import Topics

/// What a trainer knows besides weights, optimizer, tokenizer and samples; all of it is in a checkpoint.
package struct TrainerState: Sendable, Hashable {
  /// The chain of everything consumed.
  package var chain = SampleChain()
  /// The offset of the next record; a hint, no part of any weight.
  package var position: Int64 = 0
  /// The rounds done.
  package var round = 0
  /// The train samples learned from.
  package var samplesLearned = 0
  /// The train samples learned from since the last release point.
  package var sinceRelease = 0
  /// The release points so far.
  package var releasePoints = 0
  /// Whether a cut record waits to be answered.
  package var isCut = false
  /// Whether enough samples were learned for a release point.
  package var isReleaseDue = false
  /// All predictions made before learning.
  package var prequential = PredictionTally()
  /// Those of the last rounds, oldest first, at most ``recentRounds``.
  package var recent: [PredictionTally] = []

  /// How many rounds count as recent.
  package static let recentRounds = 8

  package init() {}

  /// Adds a round's predictions.
  package mutating func add(_ score: PredictionTally) {
    prequential = prequential + score
    recent.append(score)
    if recent.count > Self.recentRounds { recent.removeFirst() }
  }
}
