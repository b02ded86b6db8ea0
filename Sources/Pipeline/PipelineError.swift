/// What went wrong between the log and a stage.
public struct PipelineError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The bounded set of kinds; also the metric label.
  public enum Code: String, Sendable, Hashable {
    /// A file of the content store is missing or is not what its name says.
    case store
    /// A checkpoint was announced that cannot be found or restored.
    case checkpoint
    /// Another process took over this stage.
    case fenced
    /// An import file has a line that is not a request, or a request has an id that is kept for something else.
    case importLine = "import_line"
    /// Nothing has the name or number that was asked for.
    case notFound = "not_found"
    /// The configured functions are not those of the deployment, or those and more.
    case functions
    /// There is not enough of something to go on.
    case notEnough = "not_enough"
  }

  /// The kind of error.
  public let code: Code
  /// What it is about: a file, a stage, a model's version, an offset.
  public let subject: String
  /// What was expected of it.
  public let expected: String
  /// What was found instead.
  public let found: String
  /// What to do next.
  public let advice: String
  /// Whether the same call may succeed later without anyone changing anything.
  public let isRetriable: Bool

  /// An error with its context; `found` may be another error's sentence.
  public init(
    _ code: Code, _ subject: String, expected: String, found: String, advice: String, isRetriable: Bool = false
  ) {
    self.code = code
    self.subject = subject
    self.expected = expected
    self.found = found.hasSuffix(".") ? String(found.dropLast()) : found
    self.advice = advice
    self.isRetriable = isRetriable
  }

  /// One sentence: what, expected, found, what to do.
  public var description: String { "\(subject): expected \(expected), found \(found); \(advice)." }
}
