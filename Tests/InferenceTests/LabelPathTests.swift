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
    let path = try Path(
      functions,
      [
        "start the lawn mower", "stop the lawn mower", "halt it", "turn on the light in the attic", "off at 55",
      ])
    try path.follow(label, text: text)
  }

  private static let order: JSON = {
    let strings: JSON = ["type": "array", "items": ["type": "string"]]
    let item: JSON = [
      "type": "object",
      "properties": ["name": ["type": "string"], "on": ["type": "boolean"], "tags": strings],
      "additionalProperties": false,
    ]
    let pair: JSON = ["type": "array", "items": ["type": "boolean"], "minItems": 2, "maxItems": 2]
    return [
      [
        "name": "order",
        "parameters": [
          "type": "object", "additionalProperties": false,
          "properties": [
            "items": ["type": "array", "items": item], "pairs": ["type": "array", "items": pair], "tags": strings,
            "größe": ["type": "integer"], "note": ["type": "string"], "account": ["type": "integer"],
            "place": ["type": "number"], "labels": ["type": "object", "additionalProperties": ["type": "string"]],
          ],
        ],
      ]
    ]
  }()

  @Test(
    "nested arrays and objects end where the label ends, and keys that are spelled come where it has them",
    arguments: [
      #"{"items":[{"name":"two"}]}"#, #"{"items":[{"name":"two"},{"on":true}]}"#,
      #"{"items":[{"on":true}],"note":"two"}"#,
      #"{"items":[{"tags":["two"]}]}"#, #"{"items":[{"name":"two","tags":[]}]}"#, #"{"items":[{}]}"#, #"{"items":[]}"#,
      #"{"pairs":[[true,false]]}"#, #"{"pairs":[[true,false],[true,true]]}"#, #"{"tags":[]}"#,
      #"{"tags":["two","seats"]}"#,
      #"{"größe":2}"#, #"{"note":"two","größe":2}"#, #"{"größe":2,"note":"two"}"#, #"{"note":"seats\",\"b"}"#, "{}",
      #"{"labels":{"a.b/c @x":"two"}}"#, #"{"account":4234567890123456}"#, #"{"account":9223372036854775807}"#,
      #"{"account":-9223372036854775808}"#, #"{"place":0.13436424}"#, #"{"place":-73.98513412}"#,
      #"{"place":1e-7}"#,
    ])
  func nested(_ arguments: String) throws {
    let path = try Path(FunctionSet(json: Self.order), ["book two seats in the attic", "order two items now"])
    try path.follow(#"{"name":"order","arguments":\#(arguments)}"#, text: #"book two seats","b in 4234567890123456"#)
  }

  @Test("of random schemas a forced token is the one that a student learned")
  func randomSchemas() throws {
    var answers = 0
    for seed in 0..<RandomSchemas.count(120) {
      var schemas = RandomSchemas(seed: UInt64(seed) &+ 5_000)
      let functions = try schemas.functions()
      let request = schemas.request()
      let path = try Path(functions, [request, schemas.request(), schemas.request()])
      var random = RandomSource(UInt64(seed))
      let context = RequestContext(grammar: path.grammar, texts: [request])
      for _ in 0..<3 {
        guard
          let answer = try ConstraintTests.randomAnswer(
            path.constraint, context, path.vocabulary, &random, maximumTokens: 60)
        else { continue }
        answers += 1
        try path.follow(String(decoding: answer, as: UTF8.self), text: request, isWhole: false)
      }
    }
    #expect(answers > 200)
  }

  /// The way of a label's tokens through a constraint.
  private struct Path {
    let tokenizer: Tokenizer
    let codec: CallCodec
    let grammar: AnswerGrammar
    let vocabulary: ConstraintVocabulary
    let constraint: AnswerConstraint

    init(_ functions: FunctionSet, _ texts: [String]) throws {
      tokenizer = try Tokenizer.train(
        texts + texts, vocabularySize: 1_024, spaceFused: 16, structure: CallCodec.structureTokens(for: functions))
      codec = try CallCodec(tokenizer: tokenizer, functions: functions)
      let bytes = (0..<Int32(tokenizer.vocabularySize)).map { [tokenizer] in tokenizer.bytes(of: $0) }
      let structure = Set(
        CallCodec.structureTokens(for: functions).compactMap { [tokenizer] in tokenizer.structure($0) })
      grammar = try AnswerGrammar(functions)
      vocabulary = ConstraintVocabulary(bytes: bytes, structure: structure)
      constraint = AnswerConstraint(grammar: grammar, vocabulary: vocabulary)
    }

    /// - Parameter isWhole: whether every token of the label must be legal; else the way ends where one is not.
    func follow(_ label: String, text: String, isWhole: Bool = true) throws {
      let context = RequestContext(grammar: grammar, texts: [text])
      var state = constraint.start(context)
      for token in try codec.answer(Call(json: JSON.parse(label)), request: text).dropLast() {
        let allowed = constraint.allowed(state, context)
        let shown = String(decoding: tokenizer.bytes(of: token), as: UTF8.self)
        guard isWhole || allowed.ids.contains(token) else { return }
        #expect(allowed.ids.contains(token), "\(shown) of \(label)")
        if allowed.forced >= 0 {
          let forced = String(decoding: tokenizer.bytes(of: allowed.forced), as: UTF8.self)
          #expect(allowed.forced == token, "\(label): \(shown), forced \(forced)")
        }
        state = constraint.advance(state, token: token, context)
      }
      #expect(state.isComplete || !isWhole, "\(label)")
    }
  }
}
