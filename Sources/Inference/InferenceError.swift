/// Why a model could not be served, a grammar not compiled, or a computation not started.
public struct InferenceError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The bounded set of reasons; raw values are metric labels.
  public enum Code: String, Sendable, Hashable, CaseIterable {
    /// The operating system could not give the file.
    case unreadable = "unreadable"
    /// The file ends early or contradicts its own format.
    case badFile = "bad_file"
    /// A key of the model file is missing or holds something impossible.
    case badMetadata = "bad_metadata"
    /// A tensor is missing, has the wrong shape, or holds values that are not finite.
    case badTensor = "bad_tensor"
    /// The file is well-formed, but of an architecture or element type that is not served.
    case unsupported = "unsupported"
    /// The tokenizer in the file does not fit the model.
    case badTokenizer = "bad_tokenizer"
    /// A function's parameters cannot be turned into a grammar.
    case badSchema = "bad_schema"
    /// A size handed in is outside its range.
    case badArgument = "bad_argument"
    /// A token sequence is longer than the model or the cache allows.
    case tooLong = "too_long"
  }

  /// The bounded code, also the metric label.
  public let code: Code
  /// Where: key, tensor, function or argument.
  public let context: String
  /// What was expected there.
  public let expected: String
  /// What was found instead.
  public let found: String
  /// What to do next.
  public let advice: String

  /// Makes an error; creating one never logs.
  public init(_ code: Code, context: String, expected: String, found: String, advice: String) {
    self.code = code
    self.context = String(context.prefix(200))
    self.expected = String(expected.prefix(200))
    self.found = String(found.prefix(200))
    self.advice = String(advice.prefix(200))
  }

  /// Whether the same call may succeed later without any change: never, all of these are about the input.
  public var isRetriable: Bool { false }

  /// One sentence: where, what was expected, what was found, what to do.
  public var description: String { "\(context): expected \(expected), found \(found); \(advice)" }
}
