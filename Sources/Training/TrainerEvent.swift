/// What a trainer did.
public enum TrainerEvent: Sendable, Hashable {
  /// The tokenizer is trained (or came with the base) and the student exists.
  case started(vocabularySize: Int, parameterCount: Int)
  /// A round is done.
  case round(RoundReport)
  /// A release is due: branch, compress and measure here.
  case releasePoint(ReleasePoint)
}
