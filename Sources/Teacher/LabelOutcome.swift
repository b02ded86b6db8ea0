public import Topics

/// What became of one request.
///
/// An outage is no outcome: ``Teacher/label(_:)`` waits until the endpoint is back.
public enum LabelOutcome: Sendable {
  /// The request has a label.
  case accepted(AcceptedLabel)
  /// The request has none, for a reason that lies in this record: a dead letter.
  case rejected(Rejection)
  /// Nobody was asked: there is no teacher and no trusted answer.
  case skipped(reason: String)
}

/// A call that passed every configured check.
public struct AcceptedLabel: Sendable {
  /// The label.
  public let call: Call
  /// Who gave it: the teacher's name, or the recorded answer's producer.
  public let producer: String
  /// Digest of the instructions and tools that the teacher was given; nil for a recorded answer.
  public let promptDigest: Digest?
  /// The agreement; one of one for a recorded answer.
  public let votes: Votes
  /// The checks it passed, in order.
  public let verdicts: [LabelVerdict]
  /// Tokens and answered calls of all samples and turns, those that were of no use included; zero when everything came from the cache or the record.
  public let usage: TokenUsage
  /// Money for it, in the unit of the configured prices.
  public let cost: Double
  /// HTTP calls to the teacher, failed ones included; 0 for a recorded or cached answer.
  public let attempts: Int
  /// What was said between the request and the answer: lookups and their results.
  public let trace: [ChatMessage]
  /// The log-probabilities of the call's arguments, where they were asked for and given.
  public let topLogprobs: TokenLogprobs?
}
