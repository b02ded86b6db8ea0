/// What went wrong between the log and a subscriber.
public struct ClientError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The bounded set of kinds; also the metric label.
  public enum Code: String, Sendable, Hashable, CaseIterable {
    /// A record cannot be read as what its topic holds.
    case invalidRecord = "invalid_record"
    /// A record's schema has a major version that this build does not know.
    case unknownSchema = "unknown_schema"
    /// A release's file cannot be fetched.
    case fetch
    /// The subscriber's folder cannot be used.
    case folder
    /// Nothing was released under this name.
    case notFound = "not_found"
  }

  /// The kind of error.
  public let code: Code
  /// What it is about: a record's topic, partition and offset; a file; a model's version.
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
