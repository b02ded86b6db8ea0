package import Topics

/// Tells which string values of a call do not occur in the request.
///
/// Case and runs of white space do not matter. Values that the schema fixes by `enum` or `const` are free, and so
/// is every property that the policy exempts.
package struct Grounding: Sendable {
  private static let maximumDepth = 32

  private let policy: GroundingPolicy
  private let text: String

  package init(policy: GroundingPolicy, messages: [ChatMessage]) {
    self.policy = policy
    text = Self.folded(messages.filter { $0.role != .system }.map(\.content).joined(separator: " "))
  }

  /// The first ungrounded value as (path, value), or nil.
  package func violation(in call: Call, of function: FunctionDefinition) -> (path: String, value: String)? {
    guard policy.isRequired else { return nil }
    return violation(
      .object(call.arguments), schema: function.parametersJSON, root: function.parameters, path: "", depth: 0)
  }

  private func violation(
    _ value: JSON, schema: JSON?, root: JSONSchema, path: String, depth: Int
  ) -> (path: String, value: String)? {
    guard depth < Self.maximumDepth else { return nil }
    let schemas = Self.alternatives(schema, root: root, depth: 0)
    switch value {
    case .string(let string):
      if schemas.contains(where: { Self.fixes($0, value) }) { return nil }
      return text.contains(Self.folded(string)) ? nil : (path, string)
    case .array(let items):
      let schema = Self.any(of: schemas.compactMap { $0["items"] })
      for (index, item) in items.enumerated() {
        if let found = violation(item, schema: schema, root: root, path: "\(path)[\(index)]", depth: depth + 1) {
          return found
        }
      }
      return nil
    case .object(let members):
      for (key, member) in members where !policy.exemptProperties.contains(key) {
        let schema = Self.any(of: schemas.compactMap { $0["properties"]?[key] ?? Self.additional($0) })
        let inner = path.isEmpty ? key : "\(path).\(key)"
        if let found = violation(member, schema: schema, root: root, path: inner, depth: depth + 1) { return found }
      }
      return nil
    default: return nil
    }
  }

  private static func additional(_ schema: JSON) -> JSON? {
    guard let additional = schema["additionalProperties"], additional.objectValue != nil else { return nil }
    return additional
  }

  /// Whether the schema itself names the value.
  private static func fixes(_ schema: JSON, _ value: JSON) -> Bool {
    schema["enum"]?.arrayValue?.contains(value) == true || schema["const"] == value
  }

  /// One schema for all, each of which counts once: alternatives that hold each other would be more at every level.
  private static func any(of schemas: [JSON]) -> JSON { ["anyOf": .array(Array(Set(schemas)))] }

  /// The schema itself, what its local reference stands for, and its alternatives.
  private static func alternatives(_ schema: JSON?, root: JSONSchema, depth: Int) -> [JSON] {
    guard let schema, depth < 8 else { return [] }
    let target = schema["$ref"] == nil ? [] : alternatives(root.resolved(schema), root: root, depth: depth + 1)
    let options = schema["anyOf"]?.arrayValue ?? []
    return [schema] + target + options.flatMap { alternatives($0, root: root, depth: depth + 1) }
  }

  /// Lower case, with every run of white space as one space and none at the ends.
  static func folded(_ text: String) -> String {
    text.lowercased().split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }
}
