/// Compiles a schema document to nodes.
struct SchemaCompiler {
  private let root: JSON
  private var nodes: [SchemaNode] = []
  private var places: [String: Int] = [:]

  private var depth = 0

  private static let maximumNodes = 20_000
  /// How deep subschemas and references may nest, on whichever way they are come to first: definitions that name one another make
  /// it long. A level takes 2 KB of the stack.
  private static let maximumDepth = 1_000
  static let annotations: Set<String> = [
    "$schema", "$comment", "$defs", "definitions", "title", "description", "default", "examples", "deprecated",
    "readOnly", "writeOnly",
  ]

  /// What says the same, or nearly, in the subset.
  private static let instead = [
    "oneOf": "anyOf, which the subset has", "allOf": "one schema that says all of it",
    "nullable": "\"null\" in a list of types", "example": "examples, a list",
    "prefixItems": "an object with a key for each place",
  ]

  init(root: JSON) { self.root = root }

  mutating func compile() throws(JSONSchemaError) -> [SchemaNode] {
    _ = try node(root, at: "")
    try refuseCycles()
    return nodes
  }

  private mutating func node(_ schema: JSON, at path: String) throws(JSONSchemaError) -> Int {
    if let known = places[path] { return known }
    guard nodes.count < Self.maximumNodes else {
      throw JSONSchemaError(
        .tooLarge, at: path, expected: "at most \(Self.maximumNodes) subschemas", found: "more of them")
    }
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.maximumDepth else {
      throw JSONSchemaError(
        .tooLarge, at: path, expected: "subschemas and references at most \(Self.maximumDepth) deep",
        found: "deeper ones")
    }
    let index = nodes.count
    nodes.append(SchemaNode())
    places[path] = index
    switch schema {
    case .bool(let flag): nodes[index].always = flag
    case .object(let keywords):
      var node = SchemaNode()
      for (keyword, value) in keywords {
        try read(keyword, value, at: path, into: &node)
      }
      nodes[index] = node
    default: throw invalid(path, "a schema", schema)
    }
    return index
  }

  private func invalid(_ path: String, _ expected: String, _ found: JSON) -> JSONSchemaError {
    JSONSchemaError(.invalidKeyword, at: path, expected: expected, found: found.text)
  }

  private mutating func read(
    _ keyword: String, _ value: JSON, at path: String, into node: inout SchemaNode
  ) throws(JSONSchemaError) {
    let place = path + "/" + Self.escaped(keyword)
    switch keyword {
    case "type": node.types = try types(value, place)
    case "properties": node.properties = try properties(value, place)
    case "required": node.required = try names(value, place)
    case "additionalProperties": node.additional = try self.node(value, at: place)
    case "anyOf": node.anyOf = try alternatives(value, place)
    case "items": node.items = try self.node(value, at: place)
    case "$ref": node.reference = try reference(value, place)
    case "enum": try allow(list(value, place), into: &node)
    case "const": allow([value], into: &node)
    case "pattern": node.pattern = try pattern(value, place)
    case "format": node.format = try format(value, place)
    case "$id" where path.isEmpty: break
    default:
      if try bound(keyword, value, place, into: &node) { return }
      guard Self.annotations.contains(keyword) else {
        throw JSONSchemaError(
          .unsupportedKeyword, at: place,
          expected: Self.instead[keyword] ?? "a keyword of the subset that the README lists", found: "\"\(keyword)\"")
      }
    }
  }

  /// Reads a keyword whose value is a number; false when `keyword` is none of them.
  private func bound(
    _ keyword: String, _ value: JSON, _ place: String, into node: inout SchemaNode
  ) throws(JSONSchemaError) -> Bool {
    switch keyword {
    case "minItems": node.itemCount = try range(count(value, place), node.itemCount.upperBound, place)
    case "maxItems": node.itemCount = try range(node.itemCount.lowerBound, count(value, place), place)
    case "minLength": node.length = try range(count(value, place), node.length.upperBound, place)
    case "maxLength": node.length = try range(node.length.lowerBound, count(value, place), place)
    case "minimum": node.minimum = try number(value, place)
    case "maximum": node.maximum = try number(value, place)
    case "exclusiveMinimum": node.exclusiveMinimum = try number(value, place)
    case "exclusiveMaximum": node.exclusiveMaximum = try number(value, place)
    case "multipleOf":
      node.multipleOf = try number(value, place)
      guard let step = value.doubleValue, step > 0 else { throw invalid(place, "a number above 0", value) }
    default: return false
    }
    return true
  }

  private func range(_ low: Int, _ high: Int, _ place: String) throws(JSONSchemaError) -> ClosedRange<Int> {
    guard low <= high else {
      throw JSONSchemaError(
        .invalidKeyword, at: place, expected: "a minimum not above the maximum", found: "\(low) above \(high)")
    }
    return low...high
  }

  private func count(_ value: JSON, _ place: String) throws(JSONSchemaError) -> Int {
    guard let count = value.integerValue, count >= 0 else { throw invalid(place, "a whole number from 0", value) }
    return Int(count)
  }

  private func number(_ value: JSON, _ place: String) throws(JSONSchemaError) -> JSON {
    guard value.doubleValue != nil else { throw invalid(place, "a number", value) }
    return value
  }

  private func types(_ value: JSON, _ place: String) throws(JSONSchemaError) -> SchemaTypes {
    let names: [JSON] = value.arrayValue ?? [value]
    var types: SchemaTypes = []
    for name in names {
      guard case .string(let text) = name, let type = SchemaTypes(name: text) else {
        throw invalid(place, "a type name or a list of them", value)
      }
      types.insert(type)
    }
    guard !names.isEmpty else { throw invalid(place, "at least one type", value) }
    return types
  }

  private mutating func properties(_ value: JSON, _ place: String) throws(JSONSchemaError) -> [ExactString: Int] {
    guard case .object(let members) = value else { throw invalid(place, "an object of schemas", value) }
    var result: [ExactString: Int] = [:]
    for (name, schema) in members {
      result[ExactString(name)] = try node(schema, at: place + "/" + Self.escaped(name))
    }
    return result
  }

  private func names(_ value: JSON, _ place: String) throws(JSONSchemaError) -> [String] {
    guard case .array(let elements) = value else { throw invalid(place, "an array of names", value) }
    let names = elements.compactMap(\.stringValue)
    guard names.count == elements.count else { throw invalid(place, "an array of names", value) }
    return names
  }

  private func list(_ value: JSON, _ place: String) throws(JSONSchemaError) -> [JSON] {
    guard case .array(let elements) = value, !elements.isEmpty else { throw invalid(place, "a list of values", value) }
    return elements
  }

  /// `enum` and `const` may stand together: what both allow is allowed.
  private func allow(_ values: [JSON], into node: inout SchemaNode) {
    node.allowed = node.allowed.map { known in known.filter { values.contains($0) } } ?? values
  }

  private mutating func alternatives(_ value: JSON, _ place: String) throws(JSONSchemaError) -> [Int] {
    guard case .array(let schemas) = value, !schemas.isEmpty else { throw invalid(place, "a list of schemas", value) }
    var result: [Int] = []
    for (index, schema) in schemas.enumerated() { result.append(try node(schema, at: "\(place)/\(index)")) }
    return result
  }

  private func pattern(_ value: JSON, _ place: String) throws(JSONSchemaError) -> Pattern {
    guard case .string(let text) = value else { throw invalid(place, "a regular expression", value) }
    guard let pattern = Pattern(text) else {
      throw invalid(place, "a regular expression of the supported subset (no look-around, no back-references)", value)
    }
    return pattern
  }

  private func format(_ value: JSON, _ place: String) throws(JSONSchemaError) -> StringFormat {
    guard case .string(let text) = value, let format = StringFormat(rawValue: text) else {
      let names = StringFormat.allCases.map(\.rawValue).joined(separator: ", ")
      throw JSONSchemaError(
        .unsupportedKeyword, at: place, expected: "one of \(names), or no format", found: value.text)
    }
    return format
  }
}

// MARK: References

extension SchemaCompiler {
  private mutating func reference(_ value: JSON, _ place: String) throws(JSONSchemaError) -> Int {
    guard case .string(let text) = value else { throw invalid(place, "a reference", value) }
    guard let target = Self.target(of: text, in: root) else {
      throw JSONSchemaError(
        .unknownReference, at: place, expected: "a place in this document, such as \"#/$defs/name\"", found: value.text)
    }
    return try node(target.json, at: target.path)
  }

  /// The subschema that a reference such as `#/$defs/name` names, and its path in normal form.
  static func target(of reference: String, in root: JSON) -> (json: JSON, path: String)? {
    guard reference.hasPrefix("#"), let pointer = percentDecoded(reference.dropFirst()) else { return nil }
    if pointer.isEmpty { return (root, "") }
    guard pointer.hasPrefix("/") else { return nil }
    var json = root
    var path = ""
    for part in pointer.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
      let name = unescaped(part)
      guard let next = Int(name).flatMap({ json[$0] }) ?? json[name] else { return nil }
      json = next
      path += "/" + escaped(name)
    }
    return (json, path)
  }

  private static func escaped(_ name: String) -> String {
    guard name.utf8.contains(where: { $0 == 0x7E || $0 == 0x2F }) else { return name }
    return name.reduce(into: "") { $0 += $1 == "~" ? "~0" : $1 == "/" ? "~1" : String($1) }
  }

  private static func unescaped(_ part: Substring) -> String {
    var result = ""
    var rest = part
    while let mark = rest.firstIndex(of: "~") {
      result += rest[..<mark]
      rest = rest[rest.index(after: mark)...]
      if rest.first == "0" { result += "~" } else if rest.first == "1" { result += "/" } else { result += "~" }
      if rest.first == "0" || rest.first == "1" { rest = rest.dropFirst() }
    }
    return result + rest
  }

  private static func percentDecoded(_ text: Substring) -> String? {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == 0x25 else {
        bytes.append(byte)
        continue
      }
      guard rest.count >= 2, let code = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
        return nil
      }
      bytes.append(code)
      rest = rest.dropFirst(2)
    }
    return String(validating: bytes, as: UTF8.self)
  }

  /// A schema that asks for itself on the same value could never be checked.
  private func refuseCycles() throws(JSONSchemaError) {
    var state = [UInt8](repeating: 0, count: nodes.count)
    for start in nodes.indices where state[start] == 0 {
      var stack: [(node: Int, next: Int)] = [(start, 0)]
      state[start] = 1
      while let top = stack.last {
        let node = nodes[top.node]
        let onward = node.anyOf + (node.reference.map { [$0] } ?? [])
        guard top.next < onward.count else {
          state[top.node] = 2
          stack.removeLast()
          continue
        }
        stack[stack.count - 1].next += 1
        let child = onward[top.next]
        if state[child] == 1 {
          let path = places.first { $0.value == child }?.key ?? ""
          throw JSONSchemaError(
            .cyclicReference, at: path, expected: "references that go into the value", found: "a reference to itself")
        }
        if state[child] == 0 {
          state[child] = 1
          stack.append((child, 0))
        }
      }
    }
  }
}
