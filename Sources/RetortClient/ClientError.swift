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
  /// One sentence: what, where, expected, found, what to do.
  public let description: String
  /// Whether the same call may succeed later without anyone changing anything.
  public let isRetriable: Bool

  /// An error with its sentence.
  public init(_ code: Code, _ description: String, isRetriable: Bool = false) {
    self.code = code
    self.description = description
    self.isRetriable = isRetriable
  }
}
