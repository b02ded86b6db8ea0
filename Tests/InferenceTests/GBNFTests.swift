import Inference
import Testing
import Topics

@Suite("The grammar for llama.cpp")
struct GBNFTests {
  @Test("Functions, keys, types and enumerations are written out")
  func golden() throws {
    let functions = try FunctionSet(
      json: [
        [
          "name": "set_light",
          "parameters": [
            "type": "object",
            "properties": [
              "room": ["type": "string", "maxLength": 20], "level": ["type": "integer"],
              "state": ["enum": ["on", "off\\"]],
              "tags": ["type": "array", "items": ["type": "string"], "minItems": 1, "maxItems": 3],
            ], "required": ["room"],
          ],
        ],
        ["name": "stop", "parameters": ["type": "object", "properties": [:]]],
      ])
    let expected = #"""
      root ::= call-0 | call-1
      call-0 ::= "{\"name\":\"set_light\",\"arguments\":" value-5 "}"
      call-1 ::= "{\"name\":\"stop\",\"arguments\":" value-6 "}"
      value-5 ::= "{" ("\"room\":" value-0 | "\"level\":" value-1 | "\"state\":" value-2 | "\"tags\":" value-4) ("," ("\"room\":" value-0 | "\"level\":" value-1 | "\"state\":" value-2 | "\"tags\":" value-4))* "}"
      value-6 ::= "{}"
      value-0 ::= "\"" char{1,20} "\""
      value-1 ::= integer
      value-2 ::= "\"off\\\\\"" | "\"on\""
      value-4 ::= "[" value-3 ("," value-3){0,2} "]"
      value-3 ::= "\"" char+ "\""
      integer ::= "-"? ("0" | [1-9] [0-9]{0,18})
      char ::= [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4})

      """#
    let lines = try GBNF.grammar(for: functions).split(separator: "\n", omittingEmptySubsequences: false)
    for (line, wanted) in zip(lines, expected.split(separator: "\n", omittingEmptySubsequences: false)) {
      #expect(line == wanted)
    }
    #expect(lines.count == expected.split(separator: "\n", omittingEmptySubsequences: false).count)
  }

  @Test("Every rule that is used is defined once, and quotes and brackets are balanced", arguments: 0..<60)
  func syntax(_ seed: Int) throws {
    var schemas = RandomSchemas(seed: UInt64(seed) &+ 300)
    let text = try GBNF.grammar(for: schemas.functions())
    var defined: Set<String> = []
    var used: Set<String> = ["root"]
    for line in text.split(separator: "\n") {
      let sides = line.split(separator: " ", maxSplits: 2)
      try #require(sides.count == 3 && sides[1] == "::=", "\(line)")
      #expect(defined.insert(String(sides[0])).inserted)
      used.formUnion(Self.names(in: sides[2]))
    }
    #expect(used.isSubset(of: defined), "\(used.subtracting(defined))")
  }

  /// The rule names of a right-hand side, literals and character classes left out.
  private static func names(in text: Substring) -> Set<String> {
    var names: Set<String> = []
    var rest = text
    var depth = 0
    var name = ""
    while let character = rest.popFirst() {
      if character.isLetter || character.isNumber || character == "-" {
        name.append(character)
        continue
      }
      if let first = name.first, first.isLetter { names.insert(name) }
      name = ""
      switch character {
      case "\"", "[":
        let end: Character = character == "[" ? "]" : "\""
        while let inner = rest.popFirst(), inner != end { if inner == "\\" { rest = rest.dropFirst() } }
      case "{": while let inner = rest.popFirst(), inner != "}" { #expect(inner.isNumber || inner == ",") }
      case "(": depth += 1
      case ")": depth -= 1
      default: #expect(" |?*+".contains(character), "\(character) in \(text)")
      }
    }
    if let first = name.first, first.isLetter { names.insert(name) }
    #expect(depth == 0)
    return names
  }
}
