import Topics

/// One schema that says what two say.
enum SchemaMerge {
  /// The conjunction of two schemas, keyword by keyword.
  ///
  /// Exact for what function schemas hold; where two keywords have no common form (two patterns, say) the second is kept, and
  /// the check of the finished call decides.
  static func merge(_ base: JSONObject, _ other: JSONObject, depth: Int = 0) -> JSONObject {
    guard depth < 32 else { return base }
    var result = base
    for (key, value) in other {
      guard let present = base[key] else {
        result[key] = value
        continue
      }
      result[key] = combine(key, present, value, depth: depth)
    }
    return result
  }

  private static func combine(_ key: String, _ first: JSON, _ second: JSON, depth: Int) -> JSON {
    switch key {
    case "type": return .array(types(first, second).map { .string($0) })
    case "required":
      let listed = first.arrayValue ?? []
      return .array(listed + (second.arrayValue ?? []).filter { !listed.contains($0) })
    case "enum":
      let allowed = second.arrayValue ?? []
      return .array((first.arrayValue ?? []).filter { allowed.contains($0) })
    case "minimum", "exclusiveMinimum", "minLength", "minItems":
      return (first.doubleValue ?? 0) >= (second.doubleValue ?? 0) ? first : second
    case "maximum", "exclusiveMaximum", "maxLength", "maxItems":
      return (first.doubleValue ?? 0) <= (second.doubleValue ?? 0) ? first : second
    case "properties": return .object(properties(first.objectValue ?? [:], second.objectValue ?? [:], depth: depth))
    case "additionalProperties", "items": return both(first, second, depth: depth)
    default: return second
    }
  }

  private static func properties(_ first: JSONObject, _ second: JSONObject, depth: Int) -> JSONObject {
    var result = first
    for (name, schema) in second {
      result[name] = first[name].map { both($0, schema, depth: depth) } ?? schema
    }
    return result
  }

  private static func both(_ first: JSON, _ second: JSON, depth: Int) -> JSON {
    switch (first, second) {
    case (.bool(false), _), (_, .bool(false)): return false
    case (.bool(true), let other), (let other, .bool(true)): return other
    default: return .object(merge(first.objectValue ?? [:], second.objectValue ?? [:], depth: depth + 1))
    }
  }

  private static func types(_ first: JSON, _ second: JSON) -> [String] {
    func list(_ value: JSON) -> [String] {
      value.stringValue.map { [$0] } ?? (value.arrayValue ?? []).compactMap(\.stringValue)
    }
    let allowed = list(second)
    return list(first).compactMap { type in
      if allowed.contains(type) { return type }
      if type == "integer", allowed.contains("number") { return type }
      return type == "number" && allowed.contains("integer") ? "integer" : nil
    }
  }
}
