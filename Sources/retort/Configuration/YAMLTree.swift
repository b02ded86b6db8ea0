import Topics
import Yams

/// YAML as JSON values, with bounded depth and no aliases followed.
enum YAMLTree {
  /// - Throws: ``ConfigurationError`` for keys that are not text, and nesting deeper than 32.
  static func json(of node: Node, file: String, depth: Int = 0) throws -> JSON {
    guard depth < 32 else { throw ConfigurationError("\(file): nested deeper than 32 levels") }
    switch node {
    case .scalar(let scalar):
      return self.scalar(node, scalar)
    case .sequence(let sequence):
      return .array(try sequence.map { try json(of: $0, file: file, depth: depth + 1) })
    case .mapping(let mapping):
      var object = JSONObject()
      for (key, value) in mapping {
        guard let name = key.string else {
          throw ConfigurationError("\(file): line \(key.mark?.line ?? 0): expected a text as key")
        }
        object[name] = try json(of: value, file: file, depth: depth + 1)
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
