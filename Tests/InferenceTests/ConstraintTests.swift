import Inference
import ModelFiles
import StudentModel
import Testing
import Tokenization
import Topics

@Suite("The constraint")
struct ConstraintTests {
  /// All single bytes, the structure tokens of `functions`, and some pieces of text and of structure.
  static func vocabulary(_ functions: FunctionSet) -> ConstraintVocabulary {
    var bytes = (0...255).map { [UInt8($0)] }
    let structure = CallCodec.structureTokens(for: functions).filter { $0.utf8.count > 1 }
    let first = Int32(bytes.count)
    bytes += structure.map { Array($0.utf8) }
    let pieces = [
      "pl", "play", " the", "ock", "\":\"", "{\"", "Hells B", "\"}", "12", "true", "nul", " ", "AC", "\\n", "\"Hel",
    ]
    bytes += pieces.map { Array($0.utf8) }
    bytes.append([])
    return ConstraintVocabulary(bytes: bytes, structure: Set(first..<first + Int32(structure.count)))
  }

  /// Writes an answer by drawing from the allowed tokens; nil where no function can be filled.
  static func randomAnswer(
    _ constraint: AnswerConstraint, _ context: RequestContext, _ vocabulary: ConstraintVocabulary,
    _ random: inout RandomSource, maximumTokens: Int
  ) throws -> [UInt8]? {
    guard !context.isHopeless else { return nil }
    var state = constraint.start(context)
    var text: [UInt8] = []
    for _ in 0..<maximumTokens {
      if state.isComplete { return text }
      let allowed = constraint.allowed(state, context)
      let token = try #require(
        allowed.ids.randomElement(using: &random), "a dead end after \(String(decoding: text, as: UTF8.self))")
      text += vocabulary.bytes[Int(token)]
      state = constraint.advance(state, token: token, context)
      try #require(!state.isDead)
    }
    return text + (try #require(constraint.completion(state, context)))
  }

  @Test("Whatever is drawn from the allowed tokens is a call that its schema accepts")
  func randomSchemas() throws {
    var answers = 0
    for seed in 0..<RandomSchemas.count(400) {
      var schemas = RandomSchemas(seed: UInt64(seed))
      let functions = try schemas.functions()
      let grammar = try AnswerGrammar(functions)
      let vocabulary = Self.vocabulary(functions)
      let constraint = AnswerConstraint(grammar: grammar, vocabulary: vocabulary)
      var random = RandomSource(UInt64(seed) &* 31 &+ 7)
      for round in 0..<4 {
        let request = schemas.request()
        let context = RequestContext(grammar: grammar, texts: [request], wholeWords: round == 2)
        let limit = [200, 40, 7, 120][round]
        guard
          let text = try Self.randomAnswer(constraint, context, vocabulary, &random, maximumTokens: limit)
        else { continue }
        answers += 1
        let answer = String(decoding: text, as: UTF8.self)
        let call = try Call(json: JSON.parse(text))
        let violations = functions.violations(of: call)
        #expect(violations.isEmpty, "seed \(seed): \(answer): \(violations), request \(request)")
      }
    }
    #expect(answers > 1_000)
  }

  @Test("The allowed tokens are exactly those that lead on")
  func exactness() throws {
    for seed in 0..<40 {
      var schemas = RandomSchemas(seed: UInt64(seed) &+ 1_000)
      let functions = try schemas.functions()
      let grammar = try AnswerGrammar(functions)
      let vocabulary = Self.vocabulary(functions)
      let constraint = AnswerConstraint(grammar: grammar, vocabulary: vocabulary)
      var random = RandomSource(UInt64(seed))
      let context = RequestContext(
        grammar: grammar, texts: [schemas.request() + "play it", "go "], wholeWords: seed % 2 == 0)
      guard !context.isHopeless else { continue }
      var state = constraint.start(context)
      for _ in 0..<40 where !state.isComplete {
        let allowed = constraint.allowed(state, context).ids
        #expect(Set(allowed).count == allowed.count)
        let legal = Set(allowed)
        for token in vocabulary.bytes.indices {
          let leads = !constraint.advance(state, token: Int32(token), context).isDead
          // Structure tokens are not offered as the text of a string, though their bytes might be.
          if vocabulary.isStructure[token], leads, !legal.contains(Int32(token)) { continue }
          #expect(leads == legal.contains(Int32(token)))
        }
        guard let token = allowed.randomElement(using: &random) else { break }
        state = constraint.advance(state, token: token, context)
      }
    }
  }

  private static let lights: JSON = [
    [
      "name": "set_light",
      "parameters": [
        "type": "object",
        "properties": [
          "room": ["type": "string"], "level": ["type": "integer", "minimum": 0, "maximum": 100],
          "state": ["enum": ["on", "off"]],
        ],
        "required": ["room"],
      ],
    ]
  ]

  private func isLegal(
    _ answer: String, _ request: String, _ functions: JSON = lights, wholeWords: Bool = false
  ) throws -> Bool {
    let set = try FunctionSet(json: functions)
    let grammar = try AnswerGrammar(set)
    let vocabulary = Self.vocabulary(set)
    let constraint = AnswerConstraint(grammar: grammar, vocabulary: vocabulary)
    let context = RequestContext(grammar: grammar, texts: [request], wholeWords: wholeWords)
    var state = constraint.start(context)
    for byte in answer.utf8 { state = constraint.advance(state, token: Int32(byte), context) }
    return state.isComplete
  }

  @Test(
    "Known functions, keys once and in any order, required keys, types and pieces of the request",
    arguments: [
      (#"{"name":"set_light","arguments":{"room":"kitchen"}}"#, true),
      (#"{"name":"set_light","arguments":{"level":100,"room":"the kitchen"}}"#, true),
      (#"{"name":"set_light","arguments":{"state":"on","level":0,"room":"kit"}}"#, true),
      (#"{"name":"set_light","arguments":{}}"#, false),
      (#"{"name":"set_light","arguments":{"level":3}}"#, false),
      (#"{"name":"set_light","arguments":{"room":"kitchen","room":"kitchen"}}"#, false),
      (#"{"name":"set_light","arguments":{"room":"bath"}}"#, false),
      (#"{"name":"set_light","arguments":{"room":""}}"#, false),
      (#"{"name":"set_light","arguments":{"room":" kitchen"}}"#, false),
      (#"{"name":"set_light","arguments":{"room":"kitchen","level":101}}"#, false),
      (#"{"name":"set_light","arguments":{"room":"kitchen","level":-1}}"#, false),
      (#"{"name":"set_light","arguments":{"room":"kitchen","level":007}}"#, false),
      (#"{"name":"set_light","arguments":{"room":"kitchen","state":"dim"}}"#, false),
      (#"{"name":"set_light","arguments":{"room":"kitchen","colour":"red"}}"#, false),
      (#"{"name":"other","arguments":{"room":"kitchen"}}"#, false),
      (#"{"name":"set_light","arguments":{"room":"kitchen"}} "#, false),
    ])
  func rules(_ answer: String, _ expected: Bool) throws {
    #expect(try isLegal(answer, "turn on the light in the kitchen") == expected)
  }

  @Test(
    "Whole words: pieces neither begin nor end within letters or digits, nor end with white space",
    arguments: [
      ("kitchen", true), ("the kitchen", true), ("kit", false), ("chen", false), ("kitchen ", false),
      ("kitchen at 7", true), ("7", true), ("pm", true), ("7p", false), ("in the", true), ("n the", false),
      ("is", true),
      ("th", false), ("Zürich", true), ("rich", false), ("Z", false), ("ürich", false),
    ])
  func wholeWords(_ room: String, _ expected: Bool) throws {
    let answer = Call(name: "set_light", arguments: ["room": .string(room)]).json.text
    #expect(try isLegal(answer, "in the kitchen at 7pm, this is Zürich ", wholeWords: true) == expected)
    #expect(try isLegal(answer, "in the kitchen at 7pm, this is Zürich "))
  }

  @Test(
    "Whole words end at quotes, dashes, apostrophes and spaces as they are typed, too, and at no letter of another script",
    arguments: [
      ("Thriller", true), ("“Thriller”", true), ("hriller", false), ("Thrille", false), ("mom", true), ("mom’s", true),
      ("Lyon", true), ("Lyo", false), ("météo à Lyon", true), ("mété", false), ("home", true), ("home—now", true),
      ("5", true), ("5 €", true), ("東京", true), ("東", false),
    ])
  func typography(_ room: String, _ expected: Bool) throws {
    let request = "play “Thriller” in mom’s room, météo à Lyon\u{A0}? going home—now, 5 € 東京"
    let answer = Call(name: "set_light", arguments: ["room": .string(room)]).json.text
    #expect(try isLegal(answer, request, wholeWords: true) == expected)
    #expect(try isLegal(answer, request))
  }

  @Test("A required key that is not declared may be anything, unless the schema allows no such key")
  func undeclared() throws {
    func forecast(_ parameters: JSONObject) -> JSON {
      var schema: JSONObject = ["type": "object"]
      for (key, value) in parameters { schema[key] = value }
      return [["name": "forecast", "parameters": .object(schema)]]
    }
    let needed: JSONObject = ["properties": ["city": ["type": "string"]], "required": ["city", "units"]]
    let answers = [#"{"city":"Bern","units":"metric"}"#, #"{"units":[7],"city":"Bern"}"#]
    var closed = needed
    closed["additionalProperties"] = false
    for parameters: JSONObject in [
      needed, ["$ref": "#/$defs/a", "$defs": ["a": .object(needed)]],
      ["properties": ["city": ["type": "string"]], "anyOf": [["required": ["city", "units"]]]],
    ] {
      let functions = forecast(parameters)
      for arguments in answers {
        #expect(
          try isLegal(#"{"name":"forecast","arguments":\#(arguments)}"#, "metric in Bern", functions), "\(parameters)")
      }
      for arguments in [#"{"city":"Bern"}"#, #"{"city":"Bern","units":1,"days":2}"#, "{}"] {
        #expect(
          try !isLegal(#"{"name":"forecast","arguments":\#(arguments)}"#, "metric in Bern", functions), "\(parameters)")
      }
    }
    #expect(
      try !isLegal(#"{"name":"forecast","arguments":\#(answers[0])}"#, "metric in Bern", forecast(closed)))
    #expect(try isLegal(#"{"name":"forecast","arguments":{}}"#, "metric in Bern", forecast([:])))
    #expect(try !isLegal(#"{"name":"forecast","arguments":{"a":1}}"#, "metric in Bern", forecast([:])))
  }

  @Test("A schema that limits a string's length may cut words")
  func limitedLength() throws {
    let functions: JSON = [
      [
        "name": "spell",
        "parameters": [
          "type": "object", "properties": ["start": ["type": "string", "maxLength": 3]], "required": ["start"],
        ],
      ]
    ]
    #expect(try isLegal(#"{"name":"spell","arguments":{"start":"kit"}}"#, "kitchen", functions, wholeWords: true))
  }

  @Test("Whole words suffice where at most one label in a hundred needs a part of one")
  func wholeWordsSuffice() throws {
    let model = try TinyModels.serving()
    func label(_ text: String, _ artist: String) -> (messages: [ChatMessage], call: Call) {
      ([.user(text)], Call(name: "play_music", arguments: ["artist": .string(artist)]))
    }
    let whole = (0..<198).map { label("play some AC\($0) songs", "AC\($0)") }
    let parts = (0..<3).map { label("play some AC\($0)ish songs", "AC\($0)is") }
    let absent = (0..<50).map { _ in label("play something", "AC/DC") }
    #expect(model.sayable(whole + parts.prefix(2) + absent).wholeWordsSuffice)
    let all = model.sayable(whole + parts + absent)
    #expect(!all.wholeWordsSuffice && (all.count, all.pieces, all.words) == (251, 201, 198))
    #expect(!model.sayable(Array(whole.prefix(49))).wholeWordsSuffice)
  }

  @Test("A model is released with leave for twice its longest label where that is longer than answers are by default")
  func answerTokens() throws {
    let model = try TinyModels.serving()
    func labels(_ words: Int) -> SayableLabels {
      let artist = (0..<words).map { "w\($0)" }.joined(separator: " ")
      let call = Call(name: "play_music", arguments: ["artist": .string(artist)])
      return model.sayable([([.user("play some \(artist) songs")], call)])
    }
    let (short, long) = (labels(3), labels(300))
    #expect((short.pieces, long.pieces) == (1, 1) && short.longest < 256 && long.longest > 300)
    let keys = [ServingModel.wholeWordsKey, ServingModel.alternativesKey]
    #expect(short.metadata(alternatives: 3).map(\.key) == keys)
    let metadata = long.metadata(alternatives: 3)
    #expect(metadata.map(\.key) == keys + [ServingModel.answerTokensKey])
    #expect(metadata.last?.value.integer == 2 * long.longest)
  }

  @Test("Quotes, control characters and all of Unicode are matched in their escaped form")
  func escapes() throws {
    let request = "a \"b\" \\ c\n\u{01} Zürich 日本 🎸"
    for piece in ["\"b\"", "b\" \\ c\n\u{01}", "\u{01} Z", "ürich 日", "本 🎸", "🎸", "\\"] {
      let answer = Call(name: "set_light", arguments: ["room": .string(piece)]).json.text
      #expect(try isLegal(answer, request), "\(answer)")
    }
    #expect(try !isLegal(#"{"name":"set_light","arguments":{"room":"\u0061"}}"#, request))
    #expect(try !isLegal(#"{"name":"set_light","arguments":{"room":"\/"}}"#, request))
  }

  /// A tokenizer that composes what it reads.
  private static func composing(_ functions: FunctionSet) throws -> Tokenizer {
    var file = try #require(JSON.parse(TinyModels.tokenizer(functions).huggingFaceJSON).objectValue)
    file["normalizer"] = ["type": "NFC"]
    return try Tokenizer(huggingFace: JSON.object(file).bytes)
  }

  @Test(
    "An answer has its values as the request writes them, whatever the tokenizer makes of it",
    arguments: ["Bjo\u{308}rk", "\u{9b8}\u{9ae}\u{9df}", "\u{212b}ngstr\u{f6}m", "Bj\u{f6}rk"])
  func asWritten(_ artist: String) throws {
    let functions = try FunctionSet(json: [
      [
        "name": "play_music",
        "parameters": ["type": "object", "properties": ["artist": ["type": "string"]], "required": ["artist"]],
      ]
    ])
    let tokenizer = try Self.composing(functions)
    let student = try TinyModels.student(TinyModels.configuration(tokenizer))
    // The only answer is the whole request.
    let model = try withExtendedLifetime(student) {
      try ServingModel(
        model: DecoderModel(
          configuration: student.configuration, parameters: UnsafeBufferPointer(student.parameters),
          tokenizer: tokenizer),
        functions: functions, metadata: [ServingModel.wholeWordsKey: .bool(true)])
    }
    let label = Call(name: "play_music", arguments: ["artist": .string(artist)])
    let answer = try #require(Decoder(model: model, maximumBatch: 1).answer([[.user(artist)]]).first)
    #expect(answer.call == label)
    #expect(try model.codec.call(fromAnswer: answer.text) == label)
  }

  @Test("A value in decomposed text can be an answer where the tokenizer composes what it reads")
  func composed() throws {
    let functions = try TinyModels.functions()
    let tokenizer = try Self.composing(functions)
    let model = try TinyModels.serve(
      TinyModels.student(TinyModels.configuration(tokenizer)), tokenizer, functions)
    let call = Call(name: "play_music", arguments: ["artist": "Bjo\u{308}rk"])
    for text in ["something by Bjo\u{308}rk", "something by Bj\u{f6}rk"] {
      #expect(model.sayable([(messages: [.user(text)], call: call)]).pieces == 1)
    }
  }

  @Test("Within a string structure is offered where it is a piece of text, too")
  func structureAsText() throws {
    let set = try FunctionSet(json: Self.lights)
    let grammar = try AnswerGrammar(set)
    let context = RequestContext(grammar: grammar, texts: ["a}}b"])
    let bytes = (0...255).map { [UInt8($0)] } + [Array("}}".utf8)]
    for texts in [[], [256]] as [Set<Int32>] {
      let constraint = AnswerConstraint(
        grammar: grammar, vocabulary: ConstraintVocabulary(bytes: bytes, structure: [256], texts: texts))
      var state = constraint.start(context)
      for byte in #"{"name":"set_light","arguments":{"room":"a"#.utf8 {
        state = constraint.advance(state, token: Int32(byte), context)
      }
      #expect(constraint.allowed(state, context).ids.contains(256) == !texts.isEmpty)
    }
  }

  @Test("A request without text leaves only functions that need none")
  func emptyRequest() throws {
    #expect(try !isLegal(#"{"name":"set_light","arguments":{"room":"a"}}"#, ""))
    let set = try FunctionSet(json: Self.lights)
    let grammar = try AnswerGrammar(set)
    #expect(RequestContext(grammar: grammar, texts: [" \n"]).isHopeless)
  }

  @Test("No piece spans two messages")
  func messages() throws {
    let set = try FunctionSet(json: Self.lights)
    let grammar = try AnswerGrammar(set)
    let constraint = AnswerConstraint(grammar: grammar, vocabulary: Self.vocabulary(set))
    let context = RequestContext(grammar: grammar, texts: ["kit", "chen"])
    func survives(_ text: String) -> Bool {
      var state = constraint.start(context)
      for byte in text.utf8 { state = constraint.advance(state, token: Int32(byte), context) }
      return !state.isDead
    }
    let opening = #"{"name":"set_light","arguments":{"room":""#
    #expect(survives(opening + "kit") && survives(opening + "chen") && !survives(opening + "kitc"))
  }

  @Test("References may be recursive and are followed to a bounded depth")
  func recursion() throws {
    let functions: JSON = [
      [
        "name": "tree",
        "parameters": [
          "type": "object", "properties": ["root": ["$ref": "#/$defs/node"]], "required": ["root"],
          "$defs": [
            "node": [
              "type": "object", "additionalProperties": false,
              "properties": [
                "label": ["type": "string"],
                "children": ["type": "array", "items": ["$ref": "#/$defs/node"], "maxItems": 2],
              ], "required": ["label"],
            ]
          ],
        ],
      ]
    ]
    #expect(
      try isLegal(
        #"{"name":"tree","arguments":{"root":{"label":"a","children":[{"label":"b"},{"children":[],"label":"a b"}]}}}"#,
        "a b",
        functions))
    #expect(
      try !isLegal(#"{"name":"tree","arguments":{"root":{"children":[{"label":"b"}]}}}"#, "a b", functions))
    let deep = String(repeating: #"{"label":"a","children":["#, count: 40)
    #expect(try !isLegal(#"{"name":"tree","arguments":{"root":"# + deep, "a b", functions))
  }

  @Test("The only sensible structure token is forced")
  func forced() throws {
    let set = try FunctionSet(json: Self.lights)
    let grammar = try AnswerGrammar(set)
    let vocabulary = Self.vocabulary(set)
    let constraint = AnswerConstraint(grammar: grammar, vocabulary: vocabulary)
    let context = RequestContext(grammar: grammar, texts: ["kitchen"])
    let forced = constraint.allowed(constraint.start(context), context).forced
    try #require(forced >= 0)
    #expect(vocabulary.bytes[Int(forced)] == Array(#"{"name":"set_light","arguments":{"#.utf8))
  }
}
