/// Why a student cannot be compressed.
public struct CompressionError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The bounded set of reasons; raw values are metric labels.
  public enum Code: String, Sendable, Hashable, CaseIterable {
    /// A policy has an unknown key, or a value outside its range.
    case invalidPolicy = "invalid_policy"
    /// Student, activations and sizes do not belong together.
    case mismatch = "mismatch"
    /// The loss, the gradient or a weight is not finite, or a weight is too large for its format.
    case diverged = "diverged"
  }

  /// The bounded code, also the metric label.
  public let code: Code
  /// Where: the setting, layer or step.
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

  /// Whether the same call may succeed later without any change; never.
  public var isRetriable: Bool { false }

  /// One sentence: where, what was expected, what was found, what to do.
  public var description: String {
    "\(context): expected \(expected), found \(found); \(advice)\(advice.hasSuffix("?") ? "" : ".")"
  }
}
