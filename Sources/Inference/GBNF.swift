public import Topics

/// Writes the answers' grammar in GBNF, the notation of llama.cpp.
///
/// It says which functions there are, their keys, the types of values, enumerations, lengths and counts. What GBNF cannot say, or only
/// at a size that grows exponentially, it leaves open, so that it allows more than ``AnswerGrammar`` does: an object's keys may
/// repeat and required ones may be missing (only "at least one" is kept), strings need not be pieces of the request, numbers have
/// no bounds and patterns and formats are not looked at.
///
/// Reference: llama.cpp, grammars/README.md.
public enum GBNF {
  /// The longest repetition written out; longer ones are left open.
  private static let longestRepetition: Int32 = 256

  /// The grammar of all answers over `set`; the first line is the rule `root`.
  ///
  /// - Throws: ``InferenceError`` `bad_schema` as ``AnswerGrammar/init(_:)``.
  public static func grammar(for set: FunctionSet) throws(InferenceError) -> String {
    text(of: try AnswerGrammar(set))
  }

  /// The text of a compiled grammar.
  static func text(of grammar: AnswerGrammar) -> String {
    var writer = Writer(grammar: grammar)
    return writer.text()
  }

  private struct Writer {
    let grammar: AnswerGrammar
    private var lines: [String] = []
    private var written: Set<RuleID> = []
    private var pending: [RuleID] = []
    private var usesString = false
    private var usesInteger = false
    private var usesFraction = false

    init(grammar: AnswerGrammar) { self.grammar = grammar }

    mutating func text() -> String {
      let functions = grammar.functions.filter { isPossible($0.arguments) }
      let calls = functions.indices.map { "call-\($0)" }
      lines.append("root ::= " + (calls.isEmpty ? #""""# : calls.joined(separator: " | ")))
      for (index, function) in functions.enumerated() {
        let opening = #"{"name":\#(JSON.string(function.name).text),"arguments":"#
        lines.append("call-\(index) ::= \(quote(opening)) \(reference(function.arguments)) \(quote("}"))")
      }
      while !pending.isEmpty {
        let rule = pending.removeFirst()
        lines.append("value-\(rule) ::= \(body(of: rule))")
      }
      if usesInteger || usesFraction { lines.append(#"integer ::= "-"? ("0" | [1-9] [0-9]{0,18})"#) }
      if usesFraction { lines.append(#"number ::= integer ("." [0-9]{1,9})?"#) }
      if usesString {
        lines.append(#"char ::= [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4})"#)
      }
      return lines.joined(separator: "\n") + "\n"
    }

    private func isPossible(_ rule: RuleID) -> Bool { grammar.depths[Int(rule)] < AnswerGrammar.impossible }

    private mutating func reference(_ rule: RuleID) -> String {
      if written.insert(rule).inserted { pending.append(rule) }
      return "value-\(rule)"
    }

    private mutating func body(of rule: RuleID) -> String {
      switch grammar.rules[Int(rule)] {
      case .literals(let trie): return texts(of: trie).map { quote($0) }.joined(separator: " | ")
      case .piece(let minimum, let maximum): return string(minimum, maximum)
      case .candidates: return string(0, .max)
      case .number(let number):
        if number.fractionDigits == 0 { usesInteger = true } else { usesFraction = true }
        return number.fractionDigits == 0 ? "integer" : "number"
      case .choice(let options):
        return options.filter { isPossible($0) }.map { reference($0) }.joined(separator: " | ")
      case .array(let items, let minimum, let maximum): return array(items, minimum, maximum)
      case .object(let object): return self.object(object)
      }
    }

    private mutating func string(_ minimum: Int32, _ maximum: Int32) -> String {
      usesString = true
      return #""\"" char\#(repetition(minimum, maximum)) "\"""#
    }

    private func repetition(_ minimum: Int32, _ maximum: Int32) -> String {
      let least = min(minimum, GBNF.longestRepetition)
      if maximum > GBNF.longestRepetition { return least == 0 ? "*" : least == 1 ? "+" : "{\(least),}" }
      return "{\(least),\(maximum)}"
    }

    private mutating func array(_ items: RuleID, _ minimum: Int32, _ maximum: Int32) -> String {
      guard maximum > 0, isPossible(items) else { return quote("[]") }
      let item = reference(items)
      var list = item
      if maximum > 1 { list += " (\",\" \(item))\(repetition(max(0, minimum - 1), maximum - 1))" }
      return minimum == 0 ? "\"[\" (\(list))? \"]\"" : "\"[\" \(list) \"]\""
    }

    private mutating func object(_ object: ObjectRule) -> String {
      var members: [String] = []
      for (name, value) in zip(object.names, object.values) where isPossible(value) {
        members.append("\(quote(JSON.string(name).text + ":")) \(reference(value))")
      }
      if object.additional >= 0, isPossible(object.additional) {
        members.append(#""\"" [\x20\x21\x23-\x5B\x5D-\x7E]{1,32} "\":" \#(reference(object.additional))"#)
      }
      guard !members.isEmpty else { return quote("{}") }
      let member = "(\(members.joined(separator: " | ")))"
      let list = "\(member) (\",\" \(member))*"
      return object.required.isEmpty ? "\"{\" (\(list))? \"}\"" : "\"{\" \(list) \"}\""
    }

    private func texts(of trie: ByteTrie) -> [String] {
      var result: [String] = []
      var stack: [(node: Int32, text: [UInt8])] = [(0, [])]
      while let (node, text) = stack.popLast() {
        if trie.firstValue(node) >= 0 { result.append(String(decoding: text, as: UTF8.self)) }
        for edge in trie.edges(node).reversed() { stack.append((trie.edgeNodes[edge], text + [trie.edgeBytes[edge]])) }
      }
      return result
    }

    /// A GBNF literal.
    private func quote(_ text: String) -> String {
      var result = "\""
      for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\n": result += "\\n"
        case "\r": result += "\\r"
        case "\t": result += "\\t"
        default: result.unicodeScalars.append(scalar)
        }
      }
      return result + "\""
    }
  }
}
