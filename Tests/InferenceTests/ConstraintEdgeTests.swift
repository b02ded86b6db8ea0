import Inference
import Testing
import Topics

@Suite("The constraint at its edges")
struct ConstraintEdgeTests {
  @Test("What cannot be satisfied is not begun")
  func impossible() throws {
    func function(_ name: String, most: JSON) -> JSON {
      let level: JSON = ["type": "integer", "minimum": 5, "maximum": most]
      return [
        "name": .string(name), "parameters": ["type": "object", "properties": ["level": level], "required": ["level"]],
      ]
    }
    let set = try FunctionSet(json: [function("fade", most: 3), function("dim", most: 9)])
    let grammar = try AnswerGrammar(set)
    let constraint = AnswerConstraint(grammar: grammar, vocabulary: ConstraintTests.vocabulary(set))
    let context = RequestContext(grammar: grammar, texts: ["x"])
    let state = #"{"name":""#.utf8.reduce(constraint.start(context)) {
      constraint.advance($0, token: Int32($1), context)
    }
    #expect(constraint.advance(state, token: Int32(UInt8(ascii: "f")), context).isDead)
    #expect(!constraint.advance(state, token: Int32(UInt8(ascii: "d")), context).isDead)
    let alone = try AnswerGrammar(FunctionSet(json: [function("fade", most: 3)]))
    #expect(RequestContext(grammar: alone, texts: ["x"]).isHopeless)
  }

  @Test("A string with a format is found in the last message, however long those before it are")
  func lastMessage() throws {
    let set = try FunctionSet(
      json: [
        [
          "name": "book",
          "parameters": [
            "type": "object", "properties": ["day": ["type": "string", "format": "date"]], "required": ["day"],
          ],
        ]
      ])
    let grammar = try AnswerGrammar(set)
    let constraint = AnswerConstraint(grammar: grammar, vocabulary: ConstraintTests.vocabulary(set))
    let instructions = (0..<6_000).map { "w\($0)" }.joined(separator: " ")
    for texts in [[instructions, "on 2026-11-26, please"], [instructions + " on 2026-11-26, please"]] {
      let context = RequestContext(grammar: grammar, texts: texts)
      var state = constraint.start(context)
      for byte in #"{"name":"book","arguments":{"day":"2026-11-26"}}"#.utf8 {
        state = constraint.advance(state, token: Int32(byte), context)
      }
      #expect(state.isComplete)
    }
  }

  @Test("An answer that is cut off within a string ends there, whatever might still follow in the request")
  func completion() throws {
    let set = try FunctionSet(
      json: [
        [
          "name": "set_light",
          "parameters": ["type": "object", "properties": ["room": ["type": "string"]], "required": ["room"]],
        ]
      ])
    let grammar = try AnswerGrammar(set)
    let constraint = AnswerConstraint(grammar: grammar, vocabulary: ConstraintTests.vocabulary(set))
    let context = RequestContext(grammar: grammar, texts: ["hall}]]]]"])
    let state = #"{"name":"set_light","arguments":{"room":"hall"#.utf8.reduce(constraint.start(context)) {
      constraint.advance($0, token: Int32($1), context)
    }
    #expect(constraint.completion(state, context) == Array(#""}}"#.utf8))
  }

  @Test("Of undeclared keys only what is written is kept, and not for ever")
  func undeclaredNames() throws {
    let set = try FunctionSet(
      json: [
        [
          "name": "tag",
          "parameters": ["type": "object", "properties": [:], "additionalProperties": ["type": "boolean"]],
        ]
      ])
    let grammar = try AnswerGrammar(set)
    let constraint = AnswerConstraint(grammar: grammar, vocabulary: ConstraintTests.vocabulary(set))
    let context = RequestContext(grammar: grammar, texts: [""])
    func read(_ text: String, _ start: AnswerConstraint.State) -> AnswerConstraint.State {
      text.utf8.reduce(start) { constraint.advance($0, token: Int32($1), context) }
    }
    let opening = #"{"name":"tag","arguments":{""#
    var state = read(opening, constraint.start(context))
    let empty = constraint.nameCount
    for (index, letter) in "play".enumerated() {
      #expect(constraint.allowed(state, context).ids.count > 90)
      #expect(constraint.nameCount == empty + index)
      state = read(String(letter), state)
    }
    #expect(constraint.completion(state, context) == Array(#"":true}}"#.utf8))
    #expect(!read(#"":true,"play"#, state).isDead)
    #expect(read(#"":true,"play":"#, state).isDead)
    #expect(read(#"":true,"plays":false}}"#, state).isComplete)
    for number in 10_000..<18_000 {
      _ = read(opening + "\(number)" + String(repeating: "x", count: 26), constraint.start(context))
    }
    #expect(constraint.nameCount > 200_000)
    constraint.tidy()
    #expect(constraint.nameCount == empty)
    #expect(read(opening + #"a":true,"b":false}}"#, constraint.start(context)).isComplete)
  }
}
