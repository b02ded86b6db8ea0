import Evaluation
import Testing
import Topics

@Suite("The reward of a call") struct ToolCallRewardTests {
  private static func functions() throws -> FunctionSet {
    try FunctionSet(
      json: [
        [
          "name": "play",
          "parameters": [
            "type": "object",
            "properties": [
              "song": ["type": "string"], "artist": ["type": "string"], "volume": ["type": "integer"],
              "tags": ["type": "array", "items": ["type": "string"]],
            ],
          ],
        ], ["name": "stop", "parameters": ["type": "object", "properties": [:]]],
      ])
  }

  private static let expected = Call(name: "play", arguments: ["song": "yellow moon", "artist": "ada"])

  private func reward(_ calls: [Call]?, _ expected: [Call] = [Self.expected]) throws -> Double {
    try ToolCallReward.reward(calls, expected: expected, functions: Self.functions())
  }

  @Test("What is no call, or calls what does not exist, is worth −1")
  func invalid() throws {
    #expect(try reward(nil) == -1 && reward([]) == -1)
    #expect(try reward([Call(name: "pause", arguments: [:])]) == -1)
    #expect(try reward([Call(name: "play", arguments: ["song": "yellow moon", "album": "x"])]) == -1)
    #expect(try reward([Self.expected, Call(name: "pause", arguments: [:])]) == -1)
  }

  @Test("An argument exists wherever the schema says so: by reference, in an alternative, required, or as any other")
  func declaredElsewhere() throws {
    let song: JSON = ["song": ["type": "string"]]
    let schemas: [JSONObject] = [
      ["$ref": "#/$defs/play", "$defs": ["play": ["properties": song]]],
      [
        "anyOf": [["properties": ["album": ["type": "string"]]], ["$ref": "#/$defs/play"]],
        "$defs": ["play": ["properties": song]],
      ],
      ["properties": [:], "required": ["song"]],
      ["additionalProperties": true], ["additionalProperties": ["type": "string"]],
    ]
    func reward(_ schema: JSONObject, _ call: Call) throws -> Double {
      var schema = schema
      schema["type"] = "object"
      let functions = try FunctionSet(json: [["name": "play", "parameters": .object(schema)]])
      return ToolCallReward.reward(
        [call], expected: [Call(name: "play", arguments: ["song": "yellow moon"])], functions: functions)
    }
    for (index, schema) in schemas.enumerated() {
      #expect(try reward(schema, Call(name: "play", arguments: ["song": "yellow moon"])) == 1, "\(index)")
      let other = try reward(schema, Call(name: "play", arguments: ["artist": "ada"]))
      #expect(other == (schema["additionalProperties"] == nil ? -1 : 0), "\(index)")
    }
    #expect(try reward(["additionalProperties": false], Call(name: "play", arguments: ["song": "yellow moon"])) == -1)
  }

  @Test("The expected call is worth 1, another function 0, and what is between lies between")
  func between() throws {
    #expect(try reward([Self.expected]) == 1)
    #expect(try reward([Call(name: "stop", arguments: [:])]) == 0)
    // One of two arguments: similarity 1/2, of one call and one: 0.5 / 1.5.
    #expect(abs(try reward([Call(name: "play", arguments: ["song": "yellow moon"])]) - 1.0 / 3) < 1e-12)
    // "yellow mood": one of eleven letters wrong.
    let near = try reward([Call(name: "play", arguments: ["song": "yellow mood", "artist": "ada"])])
    let similarity = (10.0 / 11 + 1) / 2
    #expect(abs(near - similarity / (2 - similarity)) < 1e-12)
    let far = try reward([Call(name: "play", arguments: ["song": "silver", "artist": "ada"])])
    let key = try reward([Call(name: "play", arguments: ["artist": "yellow moon", "song": "ada"])])
    #expect(near > far && far > key)
    #expect(try reward([Call(name: "play", arguments: ["song": 3, "artist": "ada"])]) < far)
  }

  @Test("Several calls are matched one to one, in any order; one too many costs")
  func several() throws {
    let stop = Call(name: "stop", arguments: [:])
    #expect(try reward([stop, Self.expected], [Self.expected, stop]) == 1)
    #expect(abs(try reward([Self.expected, stop]) - 0.5) < 1e-12)
    #expect(abs(try reward([Self.expected, Self.expected]) - 0.5) < 1e-12)
  }

  @Test("Lists are compared element by element, and Unicode by scalars")
  func values() throws {
    func tags(_ values: [String]) -> Call {
      Call(name: "play", arguments: ["tags": .array(values.map { .string($0) })])
    }
    #expect(try reward([tags(["a", "b"])], [tags(["a", "b"])]) == 1)
    let half = ToolCallReward.similarity(tags(["a"]), tags(["a", "b"]))
    #expect(half == 0.5)
    func song(_ text: String) -> Call { Call(name: "play", arguments: ["song": .string(text)]) }
    #expect(ToolCallReward.similarity(song("bjö"), song("bjo")) == 1 - 1.0 / 3)
    // Four scalars and five: one changed, one added. As for a score, they are not the same.
    let (one, two) = (song("caf\u{E9}"), song("cafe\u{301}"))
    #expect(ToolCallReward.similarity(one, two) == 1 - 2.0 / 5 && !CallScore.exact(one, two))
    #expect(ToolCallReward.similarity(song(""), song("")) == 1 && ToolCallReward.similarity(song(""), song("x")) == 0)
  }
}
