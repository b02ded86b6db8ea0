import Topics
import Yams

/// YAML as JSON values, of bounded depth and size.
enum YAMLTree {
  /// - Throws: ``ConfigurationError`` for keys that are not text, nesting deeper than 32, and more than 100,000 values, which a
  ///   few aliases of aliases make.
  static func json(of node: Node, file: String) throws -> JSON {
    var left = 100_000
    return try json(of: node, file: file, depth: 0, left: &left)
  }

  private static func json(of node: Node, file: String, depth: Int, left: inout Int) throws -> JSON {
    guard depth < 32 else { throw ConfigurationError("\(file): nested deeper than 32 levels") }
    left -= 1
    guard left >= 0 else { throw ConfigurationError("\(file): expected at most 100,000 values, aliases written out") }
    switch node {
    case .scalar(let scalar):
      return self.scalar(node, scalar)
    case .sequence(let sequence):
      return .array(try sequence.map { try json(of: $0, file: file, depth: depth + 1, left: &left) })
    case .mapping(let mapping):
      var object = JSONObject()
      for (key, value) in mapping {
        guard let name = key.string else {
          throw ConfigurationError("\(file): line \(key.mark?.line ?? 0): expected a text as key")
        }
        object[name] = try json(of: value, file: file, depth: depth + 1, left: &left)
      }
      return .object(object)
    case .alias:
      throw ConfigurationError("\(file): YAML aliases are not read here; write the value out")
    }
  }

  /// Where a text is no YAML and why, to go on after the file's name; Yams also prints the lines around the place.
  static func complaint(_ error: any Error) -> String {
    switch error as? YamlError {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      ", line \(mark.line), column \(mark.column): not valid YAML: \(problem)"
    case .reader(let problem, _, _, _): ": not valid YAML: \(problem)"
    case .duplicatedKeysInMapping(let keys, let context):
      ", line \(context.mark.line): expected each key once, found \(keys.sorted().joined(separator: ", ")) again"
    default: ": not valid YAML"
    }
  }

  private static func scalar(_ node: Node, _ scalar: Node.Scalar) -> JSON {
    guard scalar.style == .any || scalar.style == .plain else { return .string(scalar.string) }
    if node.null != nil { return .null }
    if let value = node.bool { return .bool(value) }
    if let value = node.int { return .integer(Int64(value)) }
    if let value = node.float { return .number(value) }
    return .string(scalar.string)
  }
}
