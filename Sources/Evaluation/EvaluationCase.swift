public import Topics

/// One question, the expected call, and what a model answered.
public struct EvaluationCase: Sendable, Hashable {
  /// The identifier of the question.
  public let id: String
  /// The expected call.
  public let expected: Call
  /// The predicted call; `nil` where the answer was no valid call.
  public let predicted: Call?
  /// The time that the answer took, in milliseconds; `nil` where it was not measured.
  public let latencyMilliseconds: Double?
  /// How sure the model was, 0 to 1; `nil` where it did not say.
  public let confidence: Double?
  /// What belongs together when intervals are drawn (a conversation); the question itself by default.
  public let cluster: String
  /// The inverse of the probability with which the question was drawn; 1 by default.
  public let weight: Double
  /// The comparison of the two calls.
  public let score: CallScore

  /// A case; `cluster` defaults to `id`.
  public init(
    id: String, expected: Call, predicted: Call?, latencyMilliseconds: Double? = nil, confidence: Double? = nil,
    cluster: String? = nil, weight: Double = 1
  ) {
    self.confidence = confidence
    self.id = id
    self.expected = expected
    self.predicted = predicted
    self.latencyMilliseconds = latencyMilliseconds
    self.cluster = cluster ?? id
    self.weight = weight
    score = CallScore(predicted: predicted, expected: expected)
  }
}
