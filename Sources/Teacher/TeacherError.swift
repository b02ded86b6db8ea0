/// What is wrong with a teacher's task or configuration, found before any request is labelled.
///
/// Errors of single records are never thrown: they are ``LabelOutcome/rejected(_:)``.
public struct TeacherError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The bounded set of codes, used as metric labels.
  public enum Code: String, Sendable, Hashable, CaseIterable {
    /// A value of the configuration is out of its range or cannot be used.
    case invalidConfiguration = "invalid_configuration"
    /// A lookup function's binding cannot work (missing program, missing column, writing query).
    case invalidLookup = "invalid_lookup"
    /// The external verifier cannot work.
    case invalidVerifier = "invalid_verifier"
    /// The answer cache cannot be opened or is no cache of this program.
    case cacheUnusable = "cache_unusable"
  }

  /// The bounded code.
  public let code: Code
  /// What the error is about, such as `teacher.endpoint` or a function's name.
  public let subject: String
  /// What was expected.
  public let expected: String
  /// What was found instead, shortened.
  public let found: String

  /// Makes an error; `found` is shortened to 300 characters.
  public init(_ code: Code, subject: String, expected: String, found: String) {
    self.code = code
    self.subject = subject
    self.expected = expected
    self.found = String(found.prefix(300))
  }

  /// One sentence for people.
  public var description: String {
    "\(subject): expected \(expected), found \(found) (\(code.rawValue))"
  }
}
