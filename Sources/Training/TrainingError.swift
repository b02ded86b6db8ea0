/// Why training cannot go on.
public struct TrainingError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The bounded set of reasons; raw values are metric labels.
  public enum Code: String, Sendable, Hashable, CaseIterable {
    /// A recipe has an unknown key, or a value outside its range.
    case invalidRecipe = "invalid_recipe"
    /// The base model cannot be used for this task.
    case invalidBase = "invalid_base"
    /// A checkpoint or one of its parts is not there.
    case checkpointNotFound = "checkpoint_not_found"
    /// A checkpoint's bytes are not those that its digest names.
    case checkpointDamaged = "checkpoint_damaged"
    /// A checkpoint belongs to another recipe, numerics version, set of functions or format.
    case checkpointMismatch = "checkpoint_mismatch"
    /// The operating system refused to read or write.
    case io = "io"
    /// A call came at the wrong time, such as a branch before the first round.
    case notReady = "not_ready"
    /// The loss or the gradient is not finite.
    case diverged = "diverged"
  }

  /// The bounded code, also the metric label.
  public let code: Code
  /// Where: the knob, file or part.
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
  public var description: String {
    "\(context): expected \(expected), found \(found); \(advice)\(advice.hasSuffix("?") ? "" : ".")"
  }
}
