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
    /// An import file has a line that is not a request.
    case importLine = "import_line"
    /// Nothing has the name or number that was asked for.
    case notFound = "not_found"
    /// There is not enough of something to go on.
    case notEnough = "not_enough"
  }

  /// The kind of error.
  public let code: Code
  /// One sentence: what, where, expected, found, what to do.
  public let description: String
  /// Whether the same call may succeed later without anyone changing anything.
  public let isRetriable: Bool

  /// An error of the given kind with its sentence.
  public init(_ code: Code, _ description: String, isRetriable: Bool = false) {
    self.code = code
    self.description = description
    self.isRetriable = isRetriable
  }
}
