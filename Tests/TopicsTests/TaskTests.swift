import Testing
import Topics

@Suite("Functions, calls, messages and splits")
struct TaskTests {
  private static let nested: JSON = [
    [
      "type": "function",
      "function": [
        "name": "set_light", "description": "Sets a light.",
        "parameters": [
          "type": "object",
          "properties": ["room": ["type": "string"], "level": ["type": "integer", "minimum": 0, "maximum": 100]],
          "required": ["room"], "additionalProperties": false,
        ],
      ],
    ]
  ]

  @Test("Calls are compared as objects: members in any order, lists in order, 1 is 1.0")
  func calls() throws {
    let one = try Call(json: ["name": "f", "arguments": ["a": 1, "b": ["x", "y"]]])
    #expect(one == (try Call(json: ["name": "f", "arguments": "{\"b\":[\"x\",\"y\"],\"a\":1.0}"])))
    #expect(one != (try Call(json: ["name": "f", "arguments": ["a": 1, "b": ["y", "x"]]])))
    #expect(one.hashValue == Call(name: "f", arguments: ["b": ["x", "y"], "a": 1.0]).hashValue)
    #expect(try Call(json: ["name": "f", "arguments": ""]).arguments.isEmpty)
    for bad: JSON in ["f", ["name": "f"], ["name": "f", "arguments": "[1]"], ["name": "f", "arguments": nil]] {
      #expect(throws: TopicError.self) { try Call(json: bad) }
    }
  }

  @Test("Arguments that are text nest no deeper than a record can hold them as an object")
  func deepArguments() throws {
    func call(levels: Int) throws -> Call {
      let text = (1..<levels).reduce(#"{"a":1}"#) { inner, _ in #"{"a":\#(inner)}"# }
      return try Call(json: ["name": "f", "arguments": .string(text)])
    }
    let deep = try call(levels: 60)
    let sample = SampleRecord(
      id: "1", messages: [.user("x")], call: deep, split: .train,
      judged: [JudgedCall(call: deep, score: 0, producer: "p")])
    let read = try SampleRecord(json: JSON.parse(sample.json.text))
    #expect(read.call == deep && read.judged.first?.call == deep)
    let error = #expect(throws: TopicError.self) { try call(levels: 61) }
    #expect(error?.code == .json && error?.path == "arguments")
  }

  @Test("Nested and flat tool definitions are the same functions with the same digest")
  func functionDigest() throws {
    let nested = try FunctionSet(json: Self.nested)
    let flat = try FunctionSet(json: ["tools": [Self.nested[0]?["function"] ?? nil]])
    #expect(nested.digest == flat.digest)
    #expect(nested.json == flat.json)
    #expect(nested["set_light"]?.propertyNames == ["room", "level"])
    #expect(nested["x"] == nil)
  }

  @Test("Violations of a call name the argument")
  func violations() throws {
    let functions = try FunctionSet(json: Self.nested)
    #expect(functions.violations(of: Call(name: "set_light", arguments: ["room": "hall", "level": 5])) == [])
    #expect(functions.violations(of: Call(name: "nope", arguments: [:])).count == 1)
    let wrong = functions.violations(of: Call(name: "set_light", arguments: ["level": 101, "tint": "red"]))
    #expect(wrong.count == 3)
    #expect(wrong.contains { $0.contains("\"room\"") })
    #expect(wrong.contains { $0.contains("level") && $0.contains("100") })
    #expect(wrong.contains { $0.contains("tint") })
  }

  @Test("What a function file may not be is refused, naming the function and the keyword")
  func badFunctions() {
    let two = JSON.array([Self.nested[0] ?? nil, Self.nested[0] ?? nil])
    for bad: JSON in [[], "f", two, [["name": "a b"]], [["name": "f", "parameters": ["type": "array"]]]] {
      #expect(throws: TopicError.self) { try FunctionSet(json: bad) }
    }
    let parameters: JSON = ["type": "object", "properties": ["a": ["oneOf": [["type": "string"]]]]]
    #expect {
      try FunctionSet(json: [["name": "f", "parameters": parameters]])
    } throws: { error in
      "\(error)".contains("oneOf") && "\(error)".contains("/properties/a") && "\(error)".contains("\"f\"")
    }
  }

  @Test("Messages keep tool calls as they were sent, and fields nobody knows")
  func messages() throws {
    let json: JSON = [
      "role": "assistant", "content": nil, "refusal": nil,
      "tool_calls": [
        ["id": "c", "type": "function", "index": 0, "function": ["name": "f", "arguments": "{\"a\": 1 }"]]
      ],
    ]
    let message = try ChatMessage(json: json)
    #expect(message.json == json)
    #expect(try message.toolCalls[0].call() == Call(name: "f", arguments: ["a": 1]))
    #expect(try ChatMessage(json: ["role": "developer", "content": "x"]).role == .system)
    #expect(throws: TopicError.self) { try ToolCall(id: "c", name: "f", arguments: "{").call() }
  }

  @Test("Normalised text folds case, white space and final marks")
  func normalised() {
    #expect(NormalisedText.of("  Turn\tON \n the  Lights!?. ") == "turn on the lights")
    #expect(NormalisedText.of("What's 3.5?") == "what's 3.5")
    #expect(NormalisedText.of(" ?! ") == "")
    #expect(NormalisedText.of("ÉCOLE\u{A0}ici") == "école ici")
    // ASCII takes a way of its own; after a word that is none, the same text takes the general one.
    let ascii = String(decoding: (UInt8(0)..<0x80).map { $0 }, as: UTF8.self)
    for text in [ascii, String(ascii.reversed()), "x\r\n\u{B}\u{C}y\u{1C}z ?!. ", "a ! b!", ""] {
      let general = NormalisedText.of("é " + text)
      #expect(general == ("é " + NormalisedText.of(text)).trimmed, "\(text.debugDescription)")
    }
    let conversation = [ChatMessage.system("S"), .user("A."), ChatMessage(role: .assistant, content: "B"), .user("C")]
    #expect(NormalisedText.of(conversation) == "a\nc")
  }

  @Test("The split depends on the normalised text and the salt alone, and keeps its shares")
  func splits() {
    var counts: [Split: Int] = [:]
    var moved = 0
    for index in 0..<10_000 {
      let text = "request number \(index)"
      let split = Split.assign(messages: [.user(text)], salt: "s", devShare: 0.05, gateShare: 0.1)
      counts[split, default: 0] += 1
      let other = [ChatMessage.system("x"), .user("  Request NUMBER \(index)?")]
      #expect(Split.assign(messages: other, salt: "s", devShare: 0.05, gateShare: 0.1) == split)
      if Split.assign(messages: [.user(text)], salt: "t", devShare: 0.05, gateShare: 0.1) != split { moved += 1 }
    }
    #expect((900...1_100).contains(counts[.gate] ?? 0))
    #expect((420...580).contains(counts[.dev] ?? 0))
    #expect(moved > 1_500)
    #expect(Split.assign(normalisedText: "x", salt: "s", devShare: 0, gateShare: 0) == .train)
    #expect(Split.assign(normalisedText: "x", salt: "s", devShare: 0, gateShare: 1) == .gate)
    #expect(Split.assign(normalisedText: "x", salt: "s", devShare: 1, gateShare: 0) == .dev)
  }

  @Test("The function files of the data sets are read", .enabled(if: DataSets.areThere))
  func dataSets() throws {
    for name in ["snips", "banking77"] {
      let functions = try FunctionSet(json: try JSON.parse(try DataSets.bytes("\(name)/functions.json")))
      #expect(functions.functions.count > 5)
      let lines = try DataSets.bytes("\(name)/train.jsonl").split(separator: 0x0A)
      for line in lines {
        let record = try RequestRecord(imported: try JSON.parse(line))
        let call = try #require(record.response?.call)
        #expect(functions.violations(of: call) == [])
      }
    }
  }
}

extension String {
  /// Without spaces at the end.
  fileprivate var trimmed: String {
    var text = self
    while text.last == " " { text.removeLast() }
    return text
  }
}
