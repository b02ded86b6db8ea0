/// Why a tokenizer could not be read or trained, or an answer could not be read.
public struct TokenizationError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The bounded set of reasons; raw values are metric labels and dead-letter reasons.
  public enum Code: String, Sendable, Hashable, CaseIterable {
    /// The tokenizer's file contradicts its own format.
    case malformed = "tokenizer_malformed"
    /// The file is well-formed but uses something that is not implemented.
    case unsupported = "tokenizer_unsupported"
    /// A token that is needed is not in the vocabulary.
    case missingToken = "missing_token"
    /// The vocabulary cannot have the size that was asked for.
    case vocabularySize = "vocabulary_size"
    /// An argument is outside its range.
    case invalidArgument = "invalid_argument"
    /// An answer is not the JSON of a call.
    case invalidAnswer = "invalid_answer"
    /// An answer calls a function that is not known.
    case unknownFunction = "unknown_function"
  }

  /// The bounded code, also the metric label.
  public let code: Code
  /// Where: the key, the token, the byte.
  public let context: String
  /// What was expected there.
  public let expected: String
  /// What was found instead, at most 160 characters.
  public let found: String
  /// What to do next.
  public let advice: String

  /// Makes an error; creating one never logs.
  public init(_ code: Code, context: String, expected: String, found: String, advice: String) {
    self.code = code
    self.context = String(context.prefix(160))
    self.expected = expected
    self.found = String(found.prefix(160))
    self.advice = advice
  }

  /// Whether the same call may succeed later without any change; never, as everything here is a pure function.
  public var isRetriable: Bool { false }

  /// One sentence: where, what was expected, what was found, what to do.
  public var description: String { "\(context): expected \(expected), found \(found); \(advice)" }
}
