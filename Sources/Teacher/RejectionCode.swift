/// Why one record has no label: the reason of its dead letter, and a metric label.
///
/// The set is bounded. An outage of the teacher is none of these: it pauses labelling instead.
public enum RejectionCode: String, Sendable, Hashable, CaseIterable {
  /// The request's messages are larger than the configured bound.
  case requestTooLarge = "request_too_large"
  /// The answer names a function that the task does not have.
  case unknownFunction = "unknown_function"
  /// The answer's arguments do not fit the function's JSON Schema.
  case invalidArguments = "invalid_arguments"
  /// A string argument does not occur in the request.
  case ungrounded
  /// The external verifier said no.
  case verifierRefused = "verifier_refused"
  /// The verifier is reachable, yet fails on this record again and again.
  case verifierFailed = "verifier_failed"
  /// The samples of one request did not agree often enough.
  case noAgreement = "no_agreement"
  /// The teacher answered in words, twice, instead of calling a function.
  case noCall = "no_call"
  /// One answer contained several different answer calls.
  case severalCalls = "several_calls"
  /// The teacher went on looking things up beyond the allowed number of turns.
  case tooManyTurns = "too_many_turns"
  /// The whole exchange took longer than allowed, pauses not counted.
  case timedOut = "timed_out"
  /// The teacher refused this very request (status 413, another 4xx while it answers others, or a content filter).
  case teacherRefused = "teacher_refused"
  /// The teacher fails on this very request while it answers others.
  case teacherFailed = "teacher_failed"
  /// The answer was no well-formed chat completion, or too large.
  case malformedAnswer = "malformed_answer"
  /// A lookup function failed on the arguments the teacher gave.
  case lookupFailed = "lookup_failed"
}
