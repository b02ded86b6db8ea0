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
    let root = function.parametersJSON
    return violation(.object(call.arguments), schema: root, root: root, path: "", depth: 0)
  }

  private func violation(
    _ value: JSON, schema: JSON?, root: JSON, path: String, depth: Int
  ) -> (path: String, value: String)? {
    guard depth < Self.maximumDepth else { return nil }
    let schemas = Self.alternatives(schema, root: root, depth: 0)
    switch value {
    case .string(let string):
      if schemas.contains(where: { Self.fixes($0, value) }) { return nil }
      return text.contains(Self.folded(string)) ? nil : (path, string)
    case .array(let items):
      for (index, item) in items.enumerated() {
        let schema = schemas.lazy.compactMap { $0["items"] }.first
        if let found = violation(item, schema: schema, root: root, path: "\(path)[\(index)]", depth: depth + 1) {
          return found
        }
      }
      return nil
    case .object(let members):
      for (key, member) in members where !policy.exemptProperties.contains(key) {
        let candidates = schemas.compactMap { $0["properties"]?[key] ?? Self.additional($0) }
        let schema: JSON? = candidates.count == 1 ? candidates[0] : ["anyOf": .array(candidates)]
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

  /// The schema with local references followed and `anyOf` spread out.
  private static func alternatives(_ schema: JSON?, root: JSON, depth: Int) -> [JSON] {
    guard let schema, depth < 8 else { return [] }
    if let reference = schema["$ref"]?.stringValue {
      return alternatives(resolve(reference, in: root), root: root, depth: depth + 1)
    }
    guard let options = schema["anyOf"]?.arrayValue else { return [schema] }
    return [schema] + options.flatMap { alternatives($0, root: root, depth: depth + 1) }
  }

  private static func resolve(_ reference: String, in root: JSON) -> JSON? {
    guard reference.hasPrefix("#") else { return nil }
    var current: JSON? = root
    for part in reference.dropFirst().split(separator: "/") {
      let key = part.split(separator: "~1", omittingEmptySubsequences: false).joined(separator: "/")
      current = current?[key.split(separator: "~0", omittingEmptySubsequences: false).joined(separator: "~")]
    }
    return current
  }

  /// Lower case, with every run of white space as one space and none at the ends.
  static func folded(_ text: String) -> String {
    text.lowercased().split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }
}
