public import Topics

/// What a checkpoint contains, without its weights.
public struct CheckpointSummary: Sendable, Hashable {
  /// The digest of its file, which is its name.
  public let digest: Digest
  /// The size of its file.
  public let bytes: Int
  /// The files that it needs: itself first, then the segments of its samples, then a frozen base.
  public let files: [Digest]
  /// The recipe.
  public let recipe: TrainingRecipe
  /// The digest of the functions.
  public let functionsDigest: Digest
  /// The digest of the base model or of the pretrained body; `nil` for a student from random weights, and before it exists.
  public let baseDigest: Digest?
  /// The digest of the base model; `nil` for a student from scratch, whether its layers had lessons or not.
  public let modelDigest: Digest?
  /// The numerics version of its weights.
  public let numerics: String
  /// The chain of everything consumed.
  public let chain: Digest
  /// The offset of the next record to consume.
  public let position: Int64
  /// The rounds done.
  public let round: Int
  /// The optimizer steps of the trunk.
  public let steps: Int
  /// The samples consumed of all splits.
  public let samplesSeen: Int
  /// The train samples learned from.
  public let samplesLearned: Int
  /// The release points so far.
  public let releasePoints: Int
  /// All predictions of audited samples made before learning.
  public let prequential: PredictionTally

  init(digest: Digest, bytes: Int, header: CheckpointHeader) {
    self.digest = digest
    self.bytes = bytes
    files = [digest] + header.segments + [header.frozen].compactMap { $0 }
    recipe = header.recipe
    functionsDigest = header.functionsDigest
    baseDigest = header.baseDigest
    modelDigest = header.state.lessons > 0 ? nil : header.baseDigest
    numerics = header.numerics
    chain = header.state.chain.digest
    position = header.state.position
    round = header.state.round
    steps = header.optimizerStep
    samplesSeen = header.nextSequence
    samplesLearned = header.state.samplesLearned
    releasePoints = header.state.releasePoints
    prequential = header.state.prequential
  }
}
