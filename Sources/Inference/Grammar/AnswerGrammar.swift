public import Topics

/// All legal answers over a set of functions, compiled once.
///
/// An answer is `{"name":"f","arguments":{…}}` without spaces, for one of the functions, with each declared key at most once in any
/// order, the required ones present, and every value of the type its schema asks for. The same rules drive constrained
/// decoding and the grammar that is written for llama.cpp.
public struct AnswerGrammar: Sendable {
  /// The deepest nesting of arrays and objects below the arguments that is written.
  static let maximumDepth: Int32 = 24
  /// The depth of what cannot be completed at all.
  static let impossible: Int32 = 1 << 20

  /// One function: its name and the rule of its arguments.
  struct Function: Sendable {
    let name: String
    let arguments: RuleID
  }

  let functions: [Function]
  let rules: [GrammarRule]
  /// The texts `{"name":"f","arguments":` of the functions that can be called at all, each with its function's number.
  let openings: ByteTrie
  /// For each rule, how deep the shallowest value nests, when every string can be filled.
  let depths: [Int32]
  /// The longest minimum length of a string rule.
  let longestMinimum: Int32
  /// The rules whose strings depend on a pattern or format.
  let candidateRules: [RuleID]

  /// Compiles the functions' parameter schemas.
  ///
  /// - Throws: ``InferenceError`` `bad_schema`, naming the function: a reference that leads nowhere, more than 256 properties in
  ///   one object, more than 20,000 rules.
  public init(_ set: FunctionSet) throws(InferenceError) {
    var compiler = SchemaCompiler()
    var functions: [Function] = []
    for function in set.functions {
      let rule = try compiler.arguments(of: function)
      functions.append(Function(name: function.name, arguments: rule))
    }
    self.functions = functions
    rules = compiler.rules
    let depths = Self.depths(of: compiler.rules) { _ in true }
    self.depths = depths
    openings = Self.openings(functions) { depths[Int($0.arguments)] <= Self.maximumDepth }
    var longest: Int32 = 0
    var candidates: [RuleID] = []
    for (number, rule) in rules.enumerated() {
      switch rule {
      case .piece(let minimum, _): longest = max(longest, minimum)
      case .candidates: candidates.append(RuleID(number))
      default: break
      }
    }
    longestMinimum = longest
    candidateRules = candidates
  }

  /// The opening texts of the functions for which `isLegal` holds.
  static func openings(_ functions: [Function], where isLegal: (Function) -> Bool) -> ByteTrie {
    ByteTrie(
      functions.enumerated().filter { isLegal($0.element) }.map { number, function in
        (Array(#"{"name":\#(JSON.string(function.name).text),"arguments":"#.utf8), Int32(number))
      })
  }

  /// For each rule how deep its shallowest value nests (0: no array or object), given which string rules can be filled.
  ///
  /// The least fixed point, reached from above: `impossible` for what can never be completed.
  static func depths(of rules: [GrammarRule], canFill: (RuleID) -> Bool) -> [Int32] {
    var depths = [Int32](repeating: impossible, count: rules.count)
    var changed = true
    while changed {
      changed = false
      for number in rules.indices.reversed() {
        let depth = Self.depth(of: rules[number], number: RuleID(number), depths, canFill)
        if depth < depths[number] {
          depths[number] = depth
          changed = true
        }
      }
    }
    return depths
  }

  private static func depth(
    of rule: GrammarRule, number: RuleID, _ depths: [Int32], _ canFill: (RuleID) -> Bool
  ) -> Int32 {
    switch rule {
    case .literals(let trie): return trie.isEmpty ? impossible : 0
    case .piece, .candidates: return canFill(number) ? 0 : impossible
    case .number: return 0
    case .array(let items, let minimum, _):
      return minimum == 0 ? 1 : min(impossible, depths[Int(items)] + 1)
    case .choice(let options): return options.map { depths[Int($0)] }.min() ?? impossible
    case .object(let object):
      var deepest: Int32 = 0
      for (property, value) in object.values.enumerated() where object.required.contains(property) {
        deepest = max(deepest, depths[Int(value)])
      }
      return min(impossible, deepest + 1)
    }
  }
}
