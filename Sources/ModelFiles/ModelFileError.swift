/// Why a model file could not be read or written.
public struct ModelFileError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The bounded set of reasons; raw values are metric labels and dead-letter reasons.
  public enum Code: String, Sendable, Hashable, CaseIterable {
    /// The operating system refused to read or write.
    case io = "io"
    /// The file does not exist.
    case notFound = "not_found"
    /// The file ends before what it announces.
    case truncated = "truncated"
    /// The file contradicts its own format.
    case malformed = "malformed"
    /// A count or size is above the limit of this reader.
    case tooLarge = "too_large"
    /// The file is well-formed but uses something this reader does not support.
    case unsupported = "unsupported"
    /// A tensor or key that is needed is not there.
    case missing = "missing"
    /// A tensor's shape or type is not the one the configuration asks for.
    case shapeMismatch = "shape_mismatch"
    /// A size or constant of the model is outside its range.
    case invalidConfiguration = "invalid_configuration"
    /// A value handed to a writer cannot be written.
    case invalidArgument = "invalid_argument"
  }

  /// The bounded code, also the metric label.
  public let code: Code
  /// Where: file, tensor, key or byte position.
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
    self.context = context
    self.expected = expected
    self.found = found
    self.advice = advice
  }

  /// Whether the same call may succeed later without any change; only failures of the operating system may.
  public var isRetriable: Bool { code == .io }

  /// One sentence: where, what was expected, what was found, what to do.
  public var description: String { "\(context): expected \(expected), found \(found); \(advice)" }
}
