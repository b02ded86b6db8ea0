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

  /// The schema without annotations (titles, descriptions, defaults, …), the lists whose order says nothing in one order: two
  /// schemas with the same of it accept the same values.
  public var constraints: JSON { Self.constraints(of: json) }

  private static func constraints(of schema: JSON) -> JSON {
    guard case .object(let keywords) = schema else { return schema }
    var result = JSONObject()
    for (keyword, value) in keywords {
      switch (keyword, value) {
      case ("properties", .object(let named)), ("$defs", .object(let named)), ("definitions", .object(let named)):
        var own = JSONObject()
        for (name, schema) in named { own[name] = constraints(of: schema) }
        result[keyword] = .object(own)
      case ("items", _), ("additionalProperties", _): result[keyword] = constraints(of: value)
      case ("anyOf", .array(let schemas)): result[keyword] = .array(schemas.map { constraints(of: $0) })
      case ("enum", .array(let list)), ("required", .array(let list)), ("type", .array(let list)):
        result[keyword] = .array(list.sorted { $0.canonical.lexicographicallyPrecedes($1.canonical) })
      default: if !SchemaCompiler.annotations.contains(keyword) { result[keyword] = value }
      }
    }
    return .object(result)
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
