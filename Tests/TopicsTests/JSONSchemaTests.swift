import Testing
import Topics

@Suite("JSON Schema subset")
struct JSONSchemaTests {
  private static func code(_ schema: JSON) -> JSONSchemaError.Code? {
    do throws(JSONSchemaError) {
      _ = try JSONSchema(schema)
      return nil
    } catch {
      return error.code
    }
  }

  @Test("It judges every golden case as PyPI's jsonschema does")
  func golden() throws {
    let golden = try Files.json("Tests/TopicsTests/Goldens/jsonschema.json")
    var checked = 0
    for item in try #require(golden["cases"]?.arrayValue) {
      let schema = try JSONSchema(try #require(item["schema"]))
      for pair in try #require(item["values"]?.arrayValue) {
        let value = try #require(pair["value"])
        #expect(schema.accepts(value) == pair["valid"]?.boolValue, "\(schema.json) on \(value)")
        checked += 1
      }
    }
    #expect(checked > 1_500)
  }

  @Test("It judges every example of every topic as PyPI's jsonschema does")
  func goldenTopics() throws {
    let golden = try Files.json("Tests/TopicsTests/Goldens/jsonschema.json")
    var verdicts: [String: Bool] = [:]
    for item in try #require(golden["topics"]?.arrayValue) {
      let name = "\(item["topic"]?.stringValue ?? "")/\(item["example"]?.stringValue ?? "")"
      verdicts[name] = item["valid"]?.boolValue
    }
    for topic in TopicSpecification.all {
      for kind in ["valid", "invalid"] {
        for example in try Files.examples("topics/\(topic.name)/examples/\(kind)") {
          let place = "\(topic.name)/\(kind)/\(example.name)"
          let expected = verdicts.removeValue(forKey: place)
          #expect(topic.schema.accepts(example.json) == expected, "\(place)")
        }
      }
    }
    #expect(verdicts.isEmpty)
  }

  @Test("Formats are asserted as PyPI's jsonschema asserts them")
  func goldenFormats() throws {
    let golden = try Files.json("Tests/TopicsTests/Goldens/jsonschema.json")
    for (name, cases) in try #require(golden["formats"]?.objectValue) {
      let schema = try JSONSchema(["format": .string(name)])
      for pair in try #require(cases.arrayValue) {
        let value = try #require(pair["value"])
        #expect(schema.accepts(value) == pair["valid"]?.boolValue, "\(name): \(value)")
      }
    }
    let more: [(JSON, [JSON], [JSON])] = [
      ("time", ["08:30:06Z", "23:59:60Z", "08:30:06.5+01:30"], ["24:00:00Z", "8:30:06Z", "08:30:06", ""]),
      (
        "duration", ["P1Y", "PT1H30M", "P1DT12H", "P3W", "P1Y2M3DT4H5M6S"],
        ["P", "PT", "1D", "P1S", "P1YT", "PT1D", "P2D1Y"]
      ),
      ("hostname", ["example.org", "a-b.c", "localhost"], ["-a.org", "a..b", "", "ex ample.org"]),
      ("email", ["first.last+tag@mail.example.org"], ["a@", "@b", "a@b@c", ".a@b.c", "a b@c.d"]),
    ]
    for (name, good, bad) in more {
      let schema = try JSONSchema(["format": name])
      for value in good + [1, nil] { #expect(schema.accepts(value), "\(name): \(value)") }
      for value in bad { #expect(!schema.accepts(value), "\(name): \(value)") }
    }
    let times = try JSONSchema(["format": "date-time"])
    let long = "2026-11-26T00:00:00." + String(repeating: "0", count: 59) + "Z"
    #expect(times.accepts(.string(long)))
    #expect(!times.accepts(.string(long + " or never")))
  }

  @Test("Multiples are those of the decimals, as PyPI's jsonschema finds them where it reads decimals")
  func goldenMultiples() throws {
    let golden = try Files.json("Tests/TopicsTests/Goldens/jsonschema.json")
    let cases = try #require(golden["multiples"]?.arrayValue)
    #expect(cases.count > 300)
    for item in cases {
      let (value, step) = (try #require(item["value"]), try #require(item["step"]))
      let schema = try JSONSchema(["multipleOf": step])
      #expect(schema.accepts(value) == item["valid"]?.boolValue, "\(value) of \(step)")
    }
    #expect(
      try JSONSchema(["multipleOf": 0.1]).violations(of: 0.35) == ["the value should be a multiple of 0.1, not 0.35"])
  }

  @Test("A keyword outside the subset is an error that names it and its place")
  func unsupported() {
    for keyword in [
      "oneOf", "allOf", "not", "if", "patternProperties", "dependentRequired", "uniqueItems", "contains",
      "minProperties",
      "propertyNames", "prefixItems", "$dynamicRef", "unevaluatedProperties", "additionalItems", "tpye",
    ] {
      #expect(Self.code([.init(keyword): 1]) == .unsupportedKeyword, "\(keyword)")
    }
    let schema: JSON = ["type": "object", "properties": ["a/b": ["items": ["oneOf": []]]]]
    #expect {
      try JSONSchema(schema)
    } throws: { error in
      "\(error)".contains("/properties/a~1b/items/oneOf")
    }
    #expect(Self.code(["properties": ["format": ["oneOf": []], "x": true]]) == .unsupportedKeyword)
    #expect(Self.code(["format": "iri"]) == .unsupportedKeyword)
    #expect(Self.code(["$id": "x", "$schema": "y", "title": "t", "default": ["oneOf": 1], "examples": [1]]) == nil)
  }

  @Test("A keyword with a value that it cannot have is an error")
  func invalid() {
    let schemas: [JSON] = [
      1, "x", nil, ["type": "strin"], ["type": []], ["type": 3], ["properties": []], ["properties": ["a": 1]],
      ["required": "a"], ["required": [1]], ["enum": []], ["enum": 1], ["anyOf": []], ["anyOf": [1]], ["items": [[:]]],
      ["minItems": -1], ["minItems": 1.5], ["minLength": "1"], ["minLength": 3, "maxLength": 2], ["minimum": "0"],
      ["multipleOf": 0], ["multipleOf": -1], ["pattern": 1], ["pattern": "("], ["pattern": "(?=a)"],
      ["pattern": "(a)\\1"], ["pattern": "a{2,1}"], ["pattern": "[b-a]"], ["pattern": "*"], ["pattern": "\\p{L}"],
    ]
    for schema in schemas { #expect(Self.code(schema) == .invalidKeyword, "\(schema)") }
    #expect(Self.code(["$ref": "#/$defs/none"]) == .unknownReference)
    #expect(Self.code(["$ref": "other.json"]) == .unknownReference)
    #expect(Self.code(["$ref": "#"]) == .cyclicReference)
    #expect(
      Self.code(["$ref": "#/$defs/a", "$defs": ["a": ["anyOf": [["$ref": "#/$defs/b"]]], "b": ["$ref": "#/$defs/a"]]])
        == .cyclicReference)
  }

  @Test("Violations are sentences with places, and there are at most 32")
  func sentences() throws {
    let schema = try JSONSchema([
      "type": "object",
      "properties": [
        "list": ["type": "array", "items": ["type": "integer"]], "mode": ["enum": ["on", "off"]],
        "either": ["anyOf": [["type": "string"], ["type": "integer", "minimum": 3]]],
      ],
    ])
    let value: JSON = ["list": [1, "2", 3, true], "mode": "dim", "either": 1]
    #expect(
      schema.violations(of: value) == [
        "list[1] should be integer, not string", "list[3] should be integer, not boolean",
        "mode should be one of \"on\", \"off\", not \"dim\"",
        "either fits none of 2 alternatives, for example: either should be string, not integer",
      ])
    let many: JSON = ["list": .array([JSON](repeating: "x", count: 1_000))]
    #expect(schema.violations(of: many).count == JSONSchema.maximumViolations)
  }

  @Test("A schema made to take for ever is stopped")
  func hostile() throws {
    let twice: JSON = [
      "anyOf": [
        ["properties": ["x": ["$ref": "#/$defs/a"]]], ["properties": ["x": ["$ref": "#/$defs/a"], "y": false]],
      ]
    ]
    let never: JSON = ["anyOf": [twice, twice], "required": ["z"]]
    let schema = try JSONSchema(["$ref": "#/$defs/a", "$defs": ["a": never]])
    var value: JSON = [:]
    for _ in 0..<60 { value = ["x": value] }
    #expect(!schema.violations(of: value).isEmpty)
    let pattern = try JSONSchema(["pattern": "^(a|a|aa)*(a*)*b$"])
    #expect(!pattern.accepts(.string(String(repeating: "a", count: 20_000))))
    #expect(Self.code(["pattern": "((((a{1000}){1000}){1000}){1000})"]) == .invalidKeyword)
    #expect(Self.code(["pattern": "((((((){1000}){1000}){1000}){1000}){1000}){1000}"]) == .invalidKeyword)
  }

  @Test("References that follow one another are no way to exhaust the stack")
  func deep() throws {
    func chain(_ count: Int, last: JSON) -> JSON {
      var definitions: JSONObject = [:]
      for number in 1..<count { definitions["a\(number)"] = ["$ref": .string("#/$defs/a\(number + 1)")] }
      definitions["a\(count)"] = last
      return ["$ref": "#/$defs/a1", "$defs": .object(definitions)]
    }
    #expect(Self.code(chain(200, last: true)) == nil)
    #expect(Self.code(chain(15_000, last: true)) == .tooLarge)
    let schema = try JSONSchema(chain(200, last: ["properties": ["x": ["$ref": "#/$defs/a1"]]]))
    var value: JSON = [:]
    #expect(schema.accepts(value))
    for _ in 0..<60 { value = ["x": value] }
    #expect(!schema.accepts(value))
  }

  @Test("Definitions may name one another by the hundred")
  func manyDefinitions() throws {
    var definitions: JSONObject = [:]
    for number in 0..<150 {
      let next: JSON = ["type": "array", "items": ["$ref": .string("#/$defs/a\((number + 1) % 150)")]]
      definitions["a\(number)"] = ["type": "object", "properties": ["next": ["anyOf": [next, ["type": "null"]]]]]
    }
    let schema = try JSONSchema(["$ref": "#/$defs/a0", "$defs": .object(definitions)])
    #expect(schema.accepts(["next": [["next": [["next": .null]]]]]))
    #expect(!schema.accepts(["next": [["next": [["next": 7]]]]]))
  }

  @Test("References are resolved for those who read the schema's shape")
  func resolved() throws {
    let schema = try JSONSchema([
      "$defs": ["a": ["$ref": "#/$defs/b"], "b": ["type": "string"]], "properties": ["x": ["$ref": "#/$defs/a"]],
    ])
    #expect(schema.resolved(["$ref": "#/$defs/a"]) == ["type": "string"])
    #expect(schema.resolved(["type": "integer"]) == ["type": "integer"])
  }
}
