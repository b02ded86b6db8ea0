import Topics

/// Finds properties and kinds of values in a JSON Schema, through `anyOf`, `items` and local `$ref`s.
struct SchemaNavigator {
  /// The whole schema; null where there is none.
  let root: JSON
  private let document: JSONSchema?
  /// How deep objects, arrays and references are followed.
  private static let maximumDepth = 16
  /// How many schemas are looked at, so that references cannot multiply without end.
  private static let maximumVisits = 20_000

  init(_ document: JSONSchema?) {
    self.document = document
    root = document?.json ?? .null
  }

  /// Calls `body` with each property and the openers that its values may have; parents before children, in order.
  func visitProperties(_ body: (String, Set<StructureTokens.Opener>) -> Void) {
    var visits = 0
    visit(root, depth: 0, visits: &visits, body)
  }

  private func visit(
    _ schema: JSON, depth: Int, visits: inout Int, _ body: (String, Set<StructureTokens.Opener>) -> Void
  ) {
    visits += 1
    guard depth < Self.maximumDepth, visits < Self.maximumVisits else { return }
    for variant in variants(of: schema) {
      let properties = variant["properties"]?.objectValue ?? [:]
      for (name, property) in properties { body(name, openers(of: property)) }
      for (_, property) in properties { visit(property, depth: depth + 1, visits: &visits, body) }
      if let items = variant["items"] { visit(items, depth: depth + 1, visits: &visits, body) }
    }
  }

  /// The schema itself, with references resolved, or the members of its `anyOf`.
  func variants(of schema: JSON, depth: Int = 0) -> [JSON] {
    guard depth < Self.maximumDepth else { return [] }
    var result = [schema]
    if schema["$ref"] != nil, let document {
      result += variants(of: document.resolved(schema), depth: depth + 1)
    }
    for member in schema["anyOf"]?.arrayValue ?? [] { result += variants(of: member, depth: depth + 1) }
    return result
  }

  /// How values that satisfy the schema may begin.
  func openers(of schema: JSON) -> Set<StructureTokens.Opener> {
    var openers: Set<StructureTokens.Opener> = []
    var isUntyped = true
    for variant in variants(of: schema) {
      var kinds = variant["type"]?.arrayValue?.compactMap(\.stringValue) ?? []
      if let kind = variant["type"]?.stringValue { kinds.append(kind) }
      let values = (variant["enum"]?.arrayValue ?? []) + (variant["const"].map { [$0] } ?? [])
      for value in values where kinds.isEmpty { openers.insert(StructureTokens.Opener(value)) }
      for kind in kinds { openers.formUnion(self.openers(kind: kind, of: variant)) }
      if !kinds.isEmpty || !values.isEmpty { isUntyped = false }
    }
    return isUntyped ? [.plain] : openers
  }

  private func openers(kind: String, of schema: JSON) -> Set<StructureTokens.Opener> {
    switch kind {
    case "string": return [.string]
    case "object": return [.object]
    case "array":
      let items = schema["items"].map { openers(of: $0) } ?? []
      var result: Set<StructureTokens.Opener> = items.contains(.string) ? [.strings] : []
      if items != [.string] { result.insert(.array) }
      return result
    default: return [.plain]
    }
  }

  /// The order of the properties of an object: those of the first variants that name them.
  func propertyNames(of schemas: [JSON]) -> [String] {
    var names: [String] = []
    for schema in schemas {
      for variant in variants(of: schema) {
        for name in variant["properties"]?.objectValue?.keys ?? [] where !names.contains(name) { names.append(name) }
      }
    }
    return names
  }

  /// The schemas that a property's value may satisfy.
  func property(_ name: String, of schemas: [JSON]) -> [JSON] {
    Self.unique(schemas.flatMap { variants(of: $0) }.compactMap { $0["properties"]?[name] })
  }

  /// The schemas that an array's elements may satisfy.
  func items(of schemas: [JSON]) -> [JSON] {
    Self.unique(schemas.flatMap { variants(of: $0) }.compactMap { $0["items"] })
  }

  /// Each schema once: alternatives that hold each other lead to the same ones again, more of them at every level.
  private static func unique(_ schemas: [JSON]) -> [JSON] {
    guard schemas.count > 1 else { return schemas }
    var seen: Set<JSON> = []
    return schemas.filter { seen.insert($0).inserted }
  }
}
