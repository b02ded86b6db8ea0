/// Why a schema cannot be used: it is not valid, or it uses what the supported subset does not have.
public struct JSONSchemaError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What is wrong; the raw value is a bounded metric label.
  public enum Code: String, Sendable, CaseIterable {
    /// A keyword outside the subset.
    case unsupportedKeyword = "schema_unsupported_keyword"
    /// A keyword whose value is not what JSON Schema asks for.
    case invalidKeyword = "schema_invalid_keyword"
    /// A `$ref` to nowhere, or out of the document.
    case unknownReference = "schema_unknown_reference"
    /// `$ref`s that lead back to themselves without going into the value.
    case cyclicReference = "schema_cyclic_reference"
    /// More subschemas than the bound.
    case tooLarge = "schema_too_large"
  }

  /// What is wrong.
  public let code: Code
  /// Where in the schema, as a JSON pointer; empty for its root.
  public let path: String
  /// What is supported or expected there.
  public let expected: String
  /// What was found, at most 120 characters.
  public let found: String

  init(_ code: Code, at path: String, expected: String, found: String) {
    self.code = code
    self.path = path
    self.expected = expected
    self.found = String(found.prefix(120))
  }

  /// One sentence that says where, what was expected, and what was found.
  public var description: String {
    "The JSON Schema at \(path.isEmpty ? "its root" : path): expected \(expected), found \(found)."
  }
}
