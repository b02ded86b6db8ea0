import Tokenization
import Topics

/// Turns one JSON Schema into grammar rules; one compiler is used for one schema after another of a function set.
///
/// Supported is what `JSONSchema` supports. Where the grammar is stricter than the schema it says so: undeclared members only
/// where the schema asks for them, arrays of at most 32 items where it sets no limit, anything-goes values at most three
/// levels deep. Where several keywords constrain one value in a way that the grammar cannot combine, the check of the
/// finished call decides.
struct SchemaCompiler {
  /// The most items of an array whose schema sets no greater minimum.
  static let maximumItems: Int32 = 32
  /// The most rules of one function set.
  static let maximumRules = 20_000

  /// The rules so far.
  private(set) var rules: [GrammarRule] = []
  private var references: [String: RuleID] = [:]
  private var anything: [RuleID] = []
  private var document: JSONSchema?
  private var function = ""
  /// Whether what is compiled is the arguments themselves, not something in them.
  private var isOutermost = true

  private static let constraints: Set<String> = [
    "type", "properties", "required", "additionalProperties", "enum", "const", "anyOf", "items", "minItems", "maxItems",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern",
    "format", "$ref",
  ]

  /// The rule of a function's arguments: an object, without undeclared members unless the schema allows or requires them by name.
  ///
  /// - Throws: ``InferenceError`` `bad_schema` for references that lead nowhere and for grammars above the limits.
  mutating func arguments(of function: FunctionDefinition) throws(InferenceError) -> RuleID {
    document = function.parameters
    references = [:]
    self.function = function.name
    let merged = SchemaMerge.merge(function.parametersJSON.objectValue ?? [:], ["type": "object"])
    return try compile(.object(merged), depth: 0)
  }

  private mutating func add(_ rule: GrammarRule) throws(InferenceError) -> RuleID {
    guard rules.count < Self.maximumRules else {
      throw error("at most \(Self.maximumRules) rules for all functions", "more", "split the function set")
    }
    rules.append(rule)
    return RuleID(rules.count - 1)
  }

  private mutating func compile(_ schema: JSON, depth: Int) throws(InferenceError) -> RuleID {
    guard depth < 64 else { throw error("schemas nested at most 64 deep", "deeper", "flatten the schema") }
    if case .bool(let value) = schema {
      return value ? try anything(level: 3) : try add(.choice([]))
    }
    let object = SchemaCompiler.constraints(in: schema.objectValue ?? [:])
    if let pointer = object["$ref"]?.stringValue { return try reference(pointer, object, depth: depth) }
    if let branches = object["anyOf"]?.arrayValue { return try choice(object, branches, depth: depth) }
    if object["enum"] != nil || object["const"] != nil { return try literals(object) }
    let types = SchemaCompiler.types(of: object)
    guard let types else { return try anything(level: 3) }
    var options: [RuleID] = []
    for type in types { options.append(try compile(object, type: type, depth: depth)) }
    return options.count == 1 ? options[0] : try add(.choice(options))
  }

  private mutating func compile(
    _ schema: JSONObject, type: String, depth: Int
  ) throws(InferenceError) -> RuleID {
    switch type {
    case "string": return try string(schema)
    case "integer", "number":
      guard let rule = NumberRule(schema: schema, integersOnly: type == "integer") else { return try add(.choice([])) }
      return try add(.number(rule))
    case "boolean": return try add(.literals(Self.trie([true, false])))
    case "null": return try add(.literals(Self.trie([.null])))
    case "array": return try array(schema, depth: depth)
    case "object": return try object(schema, depth: depth)
    default:
      throw error("a JSON type", "type \(type)", "use one of string, integer, number, boolean, null, array, object")
    }
  }

  // MARK: References, alternatives, literals

  private mutating func reference(
    _ pointer: String, _ schema: JSONObject, depth: Int
  ) throws(InferenceError) -> RuleID {
    let reference: JSON = ["$ref": .string(pointer)]
    guard let target = document?.resolved(reference), target != reference else {
      throw error("a local reference that exists", "$ref \(pointer)", "correct the reference")
    }
    if schema.count > 1 {
      var siblings = schema
      siblings["$ref"] = nil
      return try compile(.object(SchemaMerge.merge(target.objectValue ?? [:], siblings)), depth: depth + 1)
    }
    if let known = references[pointer] { return known }
    // The number is taken before the target is compiled, so that a recursive schema finds itself.
    let placeholder = try add(.choice([]))
    references[pointer] = placeholder
    let rule = try compile(target, depth: depth + 1)
    rules[Int(placeholder)] = .choice([rule])
    return placeholder
  }

  private mutating func choice(
    _ schema: JSONObject, _ branches: [JSON], depth: Int
  ) throws(InferenceError) -> RuleID {
    var base = schema
    base["anyOf"] = nil
    var options: [RuleID] = []
    for branch in branches {
      var member = branch
      if !base.isEmpty {
        var resolved = branch.objectValue ?? [:]
        if let pointer = resolved["$ref"], let target = document?.resolved(["$ref": pointer]).objectValue {
          resolved["$ref"] = nil
          resolved = SchemaMerge.merge(target, resolved)
        }
        if case .bool(false) = branch { continue }
        member = .object(SchemaMerge.merge(base, resolved))
      }
      options.append(try compile(member, depth: depth + 1))
    }
    return try add(.choice(options))
  }

  private mutating func literals(_ schema: JSONObject) throws(InferenceError) -> RuleID {
    var values = schema["enum"]?.arrayValue ?? []
    if let constant = schema["const"] {
      values = schema["enum"] == nil ? [constant] : values.filter { $0 == constant }
    }
    var probe = schema
    // Each value is one of the list: looking each up there would take the square of its length.
    (probe["enum"], probe["const"]) = (nil, nil)
    for key in ["$defs", "definitions"] { probe[key] = document?.json[key] }
    if let checker = try? JSONSchema(.object(probe)) { values = values.filter { checker.violations(of: $0).isEmpty } }
    return try add(.literals(Self.trie(values)))
  }

  private static func trie(_ values: [JSON]) -> ByteTrie {
    var seen: Set<[UInt8]> = []
    let texts = values.map { Array(AnswerText.text(of: $0).utf8) }
    return ByteTrie(texts.filter { seen.insert($0).inserted }.map { ($0, 0) })
  }

  // MARK: Types

  private mutating func string(_ schema: JSONObject) throws(InferenceError) -> RuleID {
    if schema["pattern"] != nil || schema["format"] != nil {
      var check: JSONObject = ["type": "string"]
      for key in ["pattern", "format", "minLength", "maxLength"] { check[key] = schema[key] }
      do {
        return try add(.candidates(try JSONSchema(.object(check))))
      } catch let error as InferenceError {
        throw error
      } catch {
        throw self.error(
          "a string schema that can be checked", String(describing: error), "correct the pattern or format")
      }
    }
    let limit = Int64(Int32.max)
    let maximum = Int32(min(max(schema["maxLength"]?.integerValue ?? limit, 0), limit))
    let least = Int32(min(max(schema["minLength"]?.integerValue ?? 1, 0), limit))
    // An empty value says nothing: it is written only where the schema allows no other.
    let minimum = maximum == 0 ? least : max(least, 1)
    return try add(minimum > maximum ? .choice([]) : .piece(minimum: minimum, maximum: maximum))
  }

  private mutating func array(_ schema: JSONObject, depth: Int) throws(InferenceError) -> RuleID {
    let minimum = Int32(min(max(schema["minItems"]?.integerValue ?? 0, 0), 1_000_000))
    let maximum = Int32(
      min(schema["maxItems"]?.integerValue ?? Int64(max(minimum, Self.maximumItems)), 1_000_000))
    guard minimum <= maximum else { return try add(.choice([])) }
    let items = try compile(schema["items"] ?? true, depth: depth + 1)
    return try add(.array(items: items, minimum: minimum, maximum: maximum))
  }

  private mutating func object(_ schema: JSONObject, depth: Int) throws(InferenceError) -> RuleID {
    let isOutermost = isOutermost
    self.isOutermost = false
    defer { self.isOutermost = isOutermost }
    let properties = schema["properties"]?.objectValue ?? [:]
    let required = schema["required"]?.arrayValue?.compactMap(\.stringValue) ?? []
    var names = properties.keys
    for name in required where properties[name] == nil && !names.contains(name) { names.append(name) }
    guard names.count <= PropertySet.capacity else {
      throw error(
        "at most \(PropertySet.capacity) properties in one object", "\(names.count)",
        "split the function or nest objects")
    }
    var additional: RuleID = -1
    switch schema["additionalProperties"] {
    case .bool(false)?: break
    case nil: if properties.isEmpty, !isOutermost { additional = try anything(level: 2) }
    case .some(let rest): additional = try compile(rest, depth: depth + 1)
    }
    var values: [RuleID] = []
    var needed = PropertySet()
    for (number, name) in names.enumerated() {
      let undeclared = schema["additionalProperties"] ?? true
      values.append(try compile(properties[name] ?? undeclared, depth: depth + 1))
      if required.contains(name) { needed.insert(number) }
    }
    return try add(.object(ObjectRule(names: names, values: values, required: needed, additional: additional)))
  }

  /// Any JSON value whose arrays and objects nest at most `level` deep.
  private mutating func anything(level: Int) throws(InferenceError) -> RuleID {
    while anything.count <= level {
      var options = [
        try add(.piece(minimum: 0, maximum: .max)),
        try add(.literals(Self.trie([.null, true, false]))),
      ]
      if let number = NumberRule(schema: [:], integersOnly: false) { options.append(try add(.number(number))) }
      if let inner = anything.last {
        options.append(try add(.array(items: inner, minimum: 0, maximum: 8)))
        options.append(
          try add(.object(ObjectRule(names: [], values: [], required: PropertySet(), additional: inner))))
      }
      anything.append(try add(.choice(options)))
    }
    return anything[level]
  }

  // MARK: Helpers

  private static func constraints(in schema: JSONObject) -> JSONObject {
    var result = JSONObject()
    for (key, value) in schema where constraints.contains(key) { result[key] = value }
    return result
  }

  /// The types a schema allows: stated, or the one that its keywords are about; nil when anything goes.
  private static func types(of schema: JSONObject) -> [String]? {
    switch schema["type"] {
    case .string(let name)?: return [name]
    case .array(let names)?:
      let list = names.compactMap(\.stringValue)
      return list.contains("number") ? list.filter { $0 != "integer" } : list
    default: break
    }
    func mentions(_ keys: [String]) -> Bool { keys.contains { schema[$0] != nil } }
    if mentions(["properties", "required", "additionalProperties"]) { return ["object"] }
    if mentions(["items", "minItems", "maxItems"]) { return ["array"] }
    if mentions(["minLength", "maxLength", "pattern", "format"]) { return ["string"] }
    if mentions(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]) { return ["number"] }
    return nil
  }

  private func error(_ expected: String, _ found: String, _ advice: String) -> InferenceError {
    InferenceError(
      .badSchema, context: "the parameters of \(function)", expected: expected, found: found, advice: advice)
  }
}
