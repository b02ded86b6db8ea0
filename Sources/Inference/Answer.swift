public import Topics

/// What the model answered to one request.
public struct Answer: Sendable {
  /// The text as generated, but for values that the model reads in another form than the request writes (see
  /// `CallCodec/asWritten(_:request:)`).
  public let text: String
  /// The call that the text makes; nil where it makes none, with the reason in ``invalidReason``.
  public let call: Call?
  /// How sure the model was, 0…1: the product, over all tokens where there was a choice, of the probability of the token that was
  /// taken. Under a constraint probabilities are among the legal tokens; forced tokens count as sure. 0 for an answer that is
  /// not a call, and for one that had to be cut off.
  public let confidence: Double
  /// Tokens generated, forced ones included, the end not counted.
  public let tokens: Int
  /// These tokens, and the end where the model itself wrote it.
  public let generated: [Int32]
  /// Tokens of the prompt.
  public let promptTokens: Int
  /// Why there is no call; nil where there is one.
  public let invalidReason: String?

  /// An answer.
  public init(
    text: String, call: Call?, confidence: Double, tokens: Int, generated: [Int32] = [], promptTokens: Int,
    invalidReason: String? = nil
  ) {
    self.generated = generated
    self.text = text
    self.call = call
    self.confidence = confidence
    self.tokens = tokens
    self.promptTokens = promptTokens
    self.invalidReason = invalidReason
  }
}
