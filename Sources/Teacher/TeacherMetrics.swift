public import Topics

/// Counters since the teacher was made.
public struct TeacherMetrics: Sendable, Hashable {
  /// Labels accepted, recorded answers included.
  public var accepted = 0
  /// Records rejected, by code.
  public var rejected: [RejectionCode: Int] = [:]
  /// Records skipped because nobody could be asked.
  public var skipped = 0
  /// Recorded answers of trusted producers that were checked.
  public var recordedAnswers = 0
  /// HTTP calls to the teacher.
  public var calls = 0
  /// Those of them that were repeated after a failure.
  public var retries = 0
  /// Exchanges answered by the cache.
  public var cacheHits = 0
  /// Exchanges that were not in the cache.
  public var cacheMisses = 0
  /// Failures of the cache itself; labelling goes on without it.
  public var cacheFailures = 0
  /// Answers whose log-probabilities are kept.
  public var logprobs = 0
  /// Answers without usable ones although they were asked for.
  public var missedLogprobs = 0
  /// Lookup functions run.
  public var lookups = 0
  /// Calls given to the verifier.
  public var verifications = 0
  /// Tokens spent.
  public var usage = TokenUsage.none
  /// Money spent.
  public var cost = 0.0

  /// All rejections together.
  public var rejectedTotal: Int { rejected.values.reduce(0, +) }
}
