import Inference
import Testing
import Tokenization
import Topics

/// A constrained answer goes along the tokens that a student is trained on.
@Suite struct LabelPathTests {
  private static let appliances: JSON = [
    [
      "name": "control_appliance",
      "parameters": [
        "type": "object",
        "properties": ["appliance": ["type": "string"], "action": ["type": "string", "enum": ["start", "stop"]]],
        "required": ["appliance", "action"],
      ],
    ],
    [
      "name": "set_light",
      "parameters": [
        "type": "object",
        "properties": [
          "room": ["type": "string"], "state": ["type": "string", "enum": ["on", "off"]],
          "brightness": ["type": "integer", "minimum": 0, "maximum": 100],
        ], "required": ["room"],
      ],
    ],
  ]

  @Test(
    "with enumerated values and required keys every label token is allowed, and a forced one is the label's",
    arguments: [
      "start the lawn mower": #"{"name":"control_appliance","arguments":{"action":"start","appliance":"lawn mower"}}"#,
      "halt the lawn mower": #"{"name":"control_appliance","arguments":{"appliance":"lawn mower","action":"stop"}}"#,
      "turn on the light in the attic": #"{"name":"set_light","arguments":{"state":"on","room":"attic"}}"#,
      "attic at 55": #"{"name":"set_light","arguments":{"room":"attic","brightness":55}}"#,
    ])
  func labels(_ text: String, _ label: String) throws {
    let functions = try FunctionSet(json: Self.appliances)
    let texts = [
      "start the lawn mower", "stop the lawn mower", "halt it", "turn on the light in the attic", "off at 55",
    ]
    let tokenizer = try Tokenizer.train(
      texts + texts, vocabularySize: 512, spaceFused: 16, structure: CallCodec.structureTokens(for: functions))
    let codec = try CallCodec(tokenizer: tokenizer, functions: functions)
    let bytes = (0..<Int32(tokenizer.vocabularySize)).map { tokenizer.bytes(of: $0) }
    let structure = Set(CallCodec.structureTokens(for: functions).compactMap { tokenizer.structure($0) })
    let grammar = try AnswerGrammar(functions)
    let constraint = AnswerConstraint(
      grammar: grammar, vocabulary: ConstraintVocabulary(bytes: bytes, structure: structure))
    let context = RequestContext(grammar: grammar, texts: [text])
    var state = constraint.start(context)
    let answer = try codec.answer(Call(json: JSON.parse(label)), request: text)
    for token in answer.dropLast() {
      let allowed = constraint.allowed(state, context)
      let shown = String(decoding: tokenizer.bytes(of: token), as: UTF8.self)
      #expect(allowed.ids.contains(token), "\(shown)")
      if allowed.forced >= 0 {
        let forced = String(decoding: tokenizer.bytes(of: allowed.forced), as: UTF8.self)
        #expect(allowed.forced == token, "label \(shown), forced \(forced)")
      }
      state = constraint.advance(state, token: token, context)
    }
    #expect(state.isComplete)
  }
}
