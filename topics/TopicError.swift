/// Why a value is not what a topic, or a task, asks for.
public struct TopicError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What is wrong; the raw value is a bounded metric label and a dead letter's reason.
  public enum Code: String, Sendable, CaseIterable {
    /// The bytes are not JSON.
    case json = "invalid_json"
    /// A required field is not there.
    case missing = "missing_field"
    /// A field has another type than it should.
    case type = "wrong_type"
    /// A field's value is out of its range or form.
    case value = "invalid_value"
    /// A field is not allowed here.
    case unexpected = "unexpected_field"
    /// Two things that should be unique are the same.
    case duplicate = "duplicate"
    /// A digest does not name the content beside it.
    case digest = "digest_mismatch"
    /// The schema in the headers is another one, or of an unknown major version.
    case schema = "unknown_schema"
    /// A function's parameters are not in the supported JSON Schema subset.
    case unsupportedSchema = "unsupported_schema"
    /// Something is larger than its bound.
    case tooLarge = "too_large"
  }

  /// What is wrong.
  public let code: Code
  /// What was read: a topic's or a value's name, such as "samples".
  public let context: String
  /// Where in it, as a path such as `messages[0].role`; empty for the whole.
  public let path: String
  /// What was expected.
  public let expected: String
  /// What was found, shortened to 120 characters.
  public let found: String

  /// An error; `found` is shortened.
  public init(_ code: Code, in context: String, at path: String = "", expected: String, found: String) {
    self.code = code
    self.context = context
    self.path = path
    self.expected = expected
    self.found = found.count > 120 ? String(found.prefix(117)) + "..." : found
  }

  /// The same error seen from a value that holds this one at `prefix`.
  func within(_ context: String, at prefix: String) -> TopicError {
    let joined = path.isEmpty || path.hasPrefix("[") ? prefix + path : prefix + "." + path
    return TopicError(code, in: context, at: joined, expected: expected, found: found)
  }

  /// The same bytes will give the same error, so a retry cannot help.
  public var isRetriable: Bool { false }

  /// One sentence that says where, what was expected, and what was found.
  public var description: String {
    let place = path.isEmpty ? context : "\(context), field \(path)"
    return "In \(place): expected \(expected), found \(found)."
  }
}
