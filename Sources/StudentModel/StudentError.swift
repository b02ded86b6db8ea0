/// Why a student could not be built, or refused a batch.
public struct StudentError: Error, Hashable, CustomStringConvertible {
  /// What kind of mistake it was; the raw value is the bounded code for metrics and dead letters.
  public enum Code: String, Sendable, Hashable {
    /// The configuration breaks a rule of the architecture.
    case configuration
    /// A parameter, teacher or output buffer has the wrong number of elements.
    case bufferSize = "buffer_size"
    /// The batch's arrays disagree with each other.
    case batchShape = "batch_shape"
    /// A token or target is outside the vocabulary.
    case tokenRange = "token_range"
    /// A sequence is longer than the model's positions.
    case sequenceLength = "sequence_length"
    /// A loss weight, dropout rate or other number is outside its range.
    case numberRange = "number_range"
  }

  /// The kind of mistake.
  public let code: Code
  /// What was looked at.
  public let context: String
  /// What would have been right.
  public let expected: String
  /// What was there.
  public let found: String
  /// What to do next.
  public let advice: String

  /// Whether the same call can succeed later; never, these are the caller's mistakes.
  public var isRetriable: Bool { false }

  /// One sentence for people.
  public var description: String { "\(context): expected \(expected), found \(found); \(advice)." }

  init(_ code: Code, context: String, expected: String, found: String, advice: String) {
    self.code = code
    self.context = context
    self.expected = expected
    self.found = found
    self.advice = advice
  }
}
