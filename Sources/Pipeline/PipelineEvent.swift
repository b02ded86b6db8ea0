public import Topics
public import Training

/// What a stage tells whoever watches: the command line's progress, the demo's report.
public enum PipelineEvent: Sendable {
  /// The label stage wrote a transaction.
  case labelled(LabelProgress)
  /// The student exists.
  case studentStarted(vocabularySize: Int, parameterCount: Int)
  /// The task has these functions more; there are no parameters before the student exists.
  case functionsAdded([String], parameterCount: Int)
  /// The trunk took a step, or a branch did.
  case step(StepReport)
  /// A round is trained and its checkpoint announced.
  case round(RoundReport, samplesSeen: Int, recent: PrequentialScore?)
  /// A candidate is due.
  case releasePoint(ReleasePoint)
  /// The release stage begins a part of its work on a candidate.
  case candidate(version: Int, part: String)
  /// A candidate is released or rejected.
  case released(ReleaseSummary)
}

/// Takes the events of a running pipeline; called from the stages' threads.
public typealias PipelineObserver = @Sendable (PipelineEvent) -> Void

/// One candidate's way through the gate, in short.
public struct ReleaseSummary: Sendable {
  /// The version of the manifest.
  public let version: Int
  /// Whether it was promoted.
  public let isPromoted: Bool
  /// Why, or why not.
  public let reasons: [String]
  /// The SHA-256 of the weights file.
  public let sha256: Digest
  /// The size of the weights file in bytes.
  public let bytes: Int
  /// Parameters of the released student.
  public let parameters: Int
  /// Parameters of its unpruned parent.
  public let parentParameters: Int
  /// Gate samples.
  public let gateSamples: Int
  /// Exact match of the shipped file on the gate samples; `nil` without any, as the next two.
  public let exactMatch: Double?
  /// Exact match of the unpruned parent on the same.
  public let parentExactMatch: Double?
  /// Median milliseconds of one answer of the shipped file, on one thread.
  public let latencyP50: Double?
}
