/// A JSON Schema (draft 2020-12) in the subset that OpenAI's structured outputs use.
///
/// Keywords: `type` (a name or a list), `properties`, `required`, `additionalProperties`, `enum`, `const`, `anyOf`, `items`,
/// `minItems`, `maxItems`, `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, `multipleOf`, `minLength`,
/// `maxLength`, `pattern` (see `Pattern`), `format` (asserted), and `$ref` within the document. Annotations are ignored. Any
/// other keyword is an error when the schema is made, never ignored. Checking is linear in practice and bounded always.
public struct JSONSchema: Sendable {
  /// The schema as it was given.
  public let json: JSON
  private let nodes: [SchemaNode]

  /// The most violations that are reported for one value.
  public static let maximumViolations = 32

  /// Compiles a schema.
  ///
  /// - Throws: `JSONSchemaError` that names the keyword and its path.
  public init(_ json: JSON) throws(JSONSchemaError) {
    var compiler = SchemaCompiler(root: json)
    nodes = try compiler.compile()
    self.json = json
  }

  /// What is wrong with `value`: one sentence each, with the place; empty when the schema accepts it.
  public func violations(of value: JSON) -> [String] {
    var checker = SchemaChecker(nodes: nodes, isQuiet: false)
    checker.check(value, node: 0, at: "")
    return checker.violations
  }

  /// Whether the schema accepts `value`.
  public func accepts(_ value: JSON) -> Bool {
    var checker = SchemaChecker(nodes: nodes, isQuiet: true)
    checker.check(value, node: 0, at: "")
    return !checker.hasFailed
  }

  /// The subschema that `schema`, a part of this document, stands for: local `$ref`s are followed, at most 64 of them.
  public func resolved(_ schema: JSON) -> JSON {
    var current = schema
    for _ in 0..<64 {
      guard case .string(let reference)? = current["$ref"],
        let target = SchemaCompiler.target(of: reference, in: json)
      else { return current }
      current = target.json
    }
    return current
  }
}

extension JSONSchema: Hashable {
  /// Whether both were made of equal JSON.
  public static func == (left: JSONSchema, right: JSONSchema) -> Bool { left.json == right.json }

  /// Feeds the schema's JSON to `hasher`.
  public func hash(into hasher: inout Hasher) { hasher.combine(json) }
}
