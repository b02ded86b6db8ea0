package import Evaluation
import Topics

/// What a trainer knows besides weights, optimizer, tokenizer and samples; all of it is in a checkpoint.
package struct TrainerState: Sendable, Hashable {
  /// The chain of everything consumed.
  package var chain = SampleChain()
  /// The offset of the next record; a hint, no part of any weight.
  package var position: Int64 = 0
  /// The steps of generated lessons that the student's layers have learned before the first sample.
  package var lessons = 0
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
  /// All predictions of audited samples made before learning.
  package var prequential = PredictionTally()
  /// Those of the last rounds, oldest first, at most ``recentRounds``; a round without audited samples has none.
  package var recent: [PredictionTally] = []

  /// Watches the predictions of audited samples; nil where the recipe watches nothing, or there was nothing to see.
  package var detector: DriftDetector?
  /// How often they got worse.
  package var drifts = 0
  /// The traffic counts as drifting until so many train samples are learned.
  package var driftsUntil = 0

  /// Whether the traffic counts as drifting.
  package var isDrifting: Bool { samplesLearned < driftsUntil }

  /// How many rounds count as recent.
  package static let recentRounds = 8

  package init() {}

  /// Adds a round's predictions.
  package mutating func add(_ score: PredictionTally) {
    prequential = prequential + score
    recent.append(score)
    if recent.count > Self.recentRounds { recent.removeFirst() }
  }

  /// Watches the predictions of one round, in the order of its samples; call it before the round's samples are counted.
  ///
  /// Only a fall is drift: a student that learns gets better.
  ///
  /// - Parameters:
  ///   - audited: whether each audited sample was predicted.
  ///   - isTold: whether samples of the round say that the traffic drifted when they were chosen.
  package mutating func watch(_ audited: [Bool], isTold: Bool, newSamples: Int, recipe: TrainingRecipe) {
    guard recipe.driftConfidence > 0, isTold || !audited.isEmpty else { return }
    var detector = detector ?? DriftDetector(confidence: recipe.driftConfidence)
    var hasFallen = false
    for outcome in audited where detector.add(outcome) == .fall { hasFallen = true }
    self.detector = detector
    guard hasFallen || isTold else { return }
    if !isDrifting { drifts += 1 }
    driftsUntil = samplesLearned + newSamples + recipe.driftSamples
  }

  /// After how many train samples the next release point comes by itself.
  package func releaseInterval(_ recipe: TrainingRecipe) -> Int {
    guard isDrifting else { return recipe.releaseEvery }
    return max(1, Int((Double(recipe.releaseEvery) * recipe.driftReleaseShare).rounded()))
  }
}
