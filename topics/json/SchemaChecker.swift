/// Checks one value against compiled nodes, with a bound on the work that a hostile schema could ask for.
struct SchemaChecker {
  private let nodes: [SchemaNode]
  /// Quiet checkers only say whether something is wrong, and stop at the first thing that is.
  private let isQuiet: Bool
  private(set) var violations: [String] = []
  private(set) var hasFailed = false
  private var stepsLeft: Int
  /// How deep it is in the value and in references.
  private var depth: Int
  private var isExplaining = false

  /// How many subschemas are applied to one value before giving up.
  static let maximumSteps = 1_000_000
  /// How many subschemas may be applied one within the other.
  static let maximumDepth = 2_000

  init(nodes: [SchemaNode], isQuiet: Bool, steps: Int = maximumSteps, depth: Int = 0) {
    self.nodes = nodes
    self.isQuiet = isQuiet
    self.depth = depth
    stepsLeft = steps
  }

  private var isFull: Bool { isQuiet ? hasFailed : violations.count >= JSONSchema.maximumViolations }

  private mutating func fail(_ path: String, _ sentence: @autoclosure () -> String) {
    hasFailed = true
    guard !isQuiet, !isFull else { return }
    violations.append("\(path.isEmpty ? "the value" : path) \(sentence())")
  }

  /// The place of a part; quiet checkers need none.
  private func place(_ path: String, _ part: @autoclosure () -> String) -> String {
    guard !isQuiet else { return "" }
    let part = part()
    return path.isEmpty || part.hasPrefix("[") ? path + part : "\(path).\(part)"
  }

  mutating func check(_ value: JSON, node index: Int, at path: String) {
    guard !isFull else { return }
    stepsLeft -= 1
    depth += 1
    defer { depth -= 1 }
    guard stepsLeft > 0, depth <= Self.maximumDepth else {
      if violations.last?.hasSuffix("takes too much work to check") != true {
        fail(path, "takes too much work to check")
      }
      return
    }
    let node = nodes[index]
    if let always = node.always {
      if !always { fail(path, "is not allowed") }
      return
    }
    if let reference = node.reference { check(value, node: reference, at: path) }
    if let types = node.types, !types.fit(value) {
      fail(path, "should be \(types.description), not \(value.typeName)")
      return
    }
    if let allowed = node.allowed, !allowed.contains(value) {
      let list = allowed.prefix(8).map(\.text).joined(separator: ", ")
      fail(path, "should be \(allowed.count == 1 ? "" : "one of ")\(list.prefix(200)), not \(value.text.prefix(80))")
    }
    if !node.anyOf.isEmpty { checkAlternatives(value, node, path) }
    switch value {
    case .object(let object): check(object, node, path)
    case .array(let elements): check(elements, node, path)
    case .string(let text): check(text, node, path)
    case .integer, .number: checkNumber(value, node, path)
    case .null, .bool: break
    }
  }

  /// Alternatives are tried quietly. Where none fits, the one with the fewest violations is told, its own alternatives
  /// without their reasons: so each level is looked at twice at most.
  private mutating func checkAlternatives(_ value: JSON, _ node: SchemaNode, _ path: String) {
    for alternative in node.anyOf {
      var attempt = SchemaChecker(nodes: nodes, isQuiet: true, steps: stepsLeft, depth: depth)
      attempt.check(value, node: alternative, at: "")
      stepsLeft = attempt.stepsLeft
      if !attempt.hasFailed { return }
    }
    guard !isQuiet else {
      hasFailed = true
      return
    }
    var best: [String]?
    for alternative in node.anyOf where !isExplaining {
      var attempt = SchemaChecker(nodes: nodes, isQuiet: false, steps: stepsLeft, depth: depth)
      attempt.isExplaining = true
      attempt.check(value, node: alternative, at: path)
      stepsLeft = attempt.stepsLeft
      if attempt.violations.count < best?.count ?? Int.max { best = attempt.violations }
    }
    let example = best?.first.map { ", for example: \($0)" } ?? ""
    fail(path, "fits none of \(node.anyOf.count) alternatives\(example)")
  }

  private mutating func check(_ object: JSONObject, _ node: SchemaNode, _ path: String) {
    for name in node.required where object[name] == nil {
      fail(path, "lacks the field \"\(name)\"")
    }
    guard node.additional != nil || !node.properties.isEmpty else { return }
    for (key, value) in object {
      let place = place(path, key)
      if let property = node.properties[ExactString(key)] {
        check(value, node: property, at: place)
      } else if let additional = node.additional {
        check(value, node: additional, at: place)
      }
    }
  }

  private mutating func check(_ elements: [JSON], _ node: SchemaNode, _ path: String) {
    if !node.itemCount.contains(elements.count) {
      fail(path, "should have \(Self.describe(node.itemCount)) elements, not \(elements.count)")
    }
    guard let items = node.items else { return }
    for (index, element) in elements.enumerated() { check(element, node: items, at: place(path, "[\(index)]")) }
  }

  private mutating func check(_ text: String, _ node: SchemaNode, _ path: String) {
    if node.length != 0...Int.max {
      let length = text.unicodeScalars.count
      if !node.length.contains(length) {
        fail(path, "should have \(Self.describe(node.length)) characters, not \(length)")
      }
    }
    if let pattern = node.pattern, !pattern.occurs(in: text) {
      fail(path, "should match \(pattern.source.prefix(80)), not be \"\(text.prefix(80))\"")
    }
    if let format = node.format, !format.accepts(text) {
      fail(path, "should be a \(format.rawValue), not \"\(text.prefix(80))\"")
    }
  }

  private static func describe(_ range: ClosedRange<Int>) -> String {
    if range.upperBound == Int.max { return "at least \(range.lowerBound)" }
    return range.lowerBound == 0 ? "at most \(range.upperBound)" : "\(range.lowerBound) to \(range.upperBound)"
  }

  private mutating func checkNumber(_ value: JSON, _ node: SchemaNode, _ path: String) {
    if let bound = node.minimum, Self.isLess(value, bound) {
      fail(path, "should be at least \(bound.text), not \(value.text)")
    }
    if let bound = node.maximum, Self.isLess(bound, value) {
      fail(path, "should be at most \(bound.text), not \(value.text)")
    }
    if let bound = node.exclusiveMinimum, !Self.isLess(bound, value) {
      fail(path, "should be above \(bound.text), not \(value.text)")
    }
    if let bound = node.exclusiveMaximum, !Self.isLess(value, bound) {
      fail(path, "should be below \(bound.text), not \(value.text)")
    }
    if let step = node.multipleOf, let divisor = ExactDecimal(step),
      ExactDecimal(value)?.isMultiple(of: divisor) == false
    {
      fail(path, "should be a multiple of \(step.text), not \(value.text)")
    }
  }

  private static func isLess(_ left: JSON, _ right: JSON) -> Bool {
    if let a = left.integerValue, let b = right.integerValue { return a < b }
    return (left.doubleValue ?? 0) < (right.doubleValue ?? 0)
  }
}
