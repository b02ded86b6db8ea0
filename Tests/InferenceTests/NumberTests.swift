import Inference
import Testing
import Tokenization
import Topics

@Suite("Numbers within bounds")
struct NumberTests {
  /// What may be written of a function whose arguments are numbers of these schemas.
  private struct Writer {
    let functions: FunctionSet
    private let constraint: AnswerConstraint
    private let context: RequestContext

    init(_ properties: JSONObject) throws {
      functions = try FunctionSet(
        json: [["name": "f", "parameters": ["type": "object", "properties": .object(properties)]]])
      let grammar = try AnswerGrammar(functions)
      let bytes = (0...255).map { [UInt8($0)] }
      constraint = AnswerConstraint(grammar: grammar, vocabulary: ConstraintVocabulary(bytes: bytes, structure: []))
      context = RequestContext(grammar: grammar, texts: ["x"])
    }

    func isLegal(_ key: String, _ number: String) -> Bool {
      var state = constraint.start(context)
      for byte in #"{"name":"f","arguments":{"\#(key)":\#(number)}}"#.utf8 {
        state = constraint.advance(state, token: Int32(byte), context)
      }
      return state.isComplete
    }
  }

  @Test("A bound is the decimal that the schema names")
  func decimals() throws {
    for hundredths in 1..<1_000 {
      let bound = Double(hundredths) / 100
      let writer = try Writer([
        "least": ["type": "number", "minimum": .number(bound)], "most": ["type": "number", "maximum": .number(bound)],
        "above": ["type": "number", "exclusiveMinimum": .number(bound)],
        "below": ["type": "number", "exclusiveMaximum": .number(bound)],
        "same": ["type": "number", "minimum": .number(bound), "maximum": .number(bound)],
      ])
      for key in ["least", "most", "same"] { #expect(writer.isLegal(key, "\(bound)"), "\(key) \(bound)") }
      for key in ["above", "below"] { #expect(!writer.isLegal(key, "\(bound)"), "\(key) \(bound)") }
      #expect(!writer.isLegal("most", String(hundredths / 100) + ".999999999"))
    }
  }

  @Test(
    "Greater numbers have as many digits behind the point as 18 leave, and what is written keeps the bound",
    arguments: [
      (["minimum": 0, "maximum": 1_000_000_000], "19.99", true),
      (["minimum": 0, "maximum": 1_000_000_000], "1000000000", true),
      (["minimum": 0, "maximum": 1_000_000_000], "1000000000.01", false),
      (["minimum": 0, "maximum": 1_000_000_000], "19.123456789", false),
      (["maximum": 1e12], "-123456789012.12345", true),
      (["exclusiveMaximum": 1e12], "1000000000000", false),
      (["minimum": -5e9], "4999999999.5", true),
      (["maximum": 1e18], "2.5", false), (["maximum": 1e18], "1000000000000000000", true),
      (["minimum": 2_000_000_000], "12345678901234", true), (["minimum": 2_000_000_000], "2000000000.5", false),
      (["minimum": 0], "999999999.999999999", true), (["minimum": 0], "1000000000", false),
      (["exclusiveMinimum": 123_456_789], "123456789.000000001", false),
      (["exclusiveMinimum": 123_456_789], "123456789.00000001", true),
      (["exclusiveMinimum": 1e-7], "0.0000001", false), (["minimum": 1e-7], "0.0000001", true),
      (["exclusiveMaximum": 0], "-0.000000001", true), (["exclusiveMaximum": 0], "0", false),
      (["maximum": -8.3], "-8.3", true), (["exclusiveMaximum": -8.3], "-8.3", false),
    ] as [(JSONObject, String, Bool)])
  func digits(_ bounds: JSONObject, _ number: String, _ expected: Bool) throws {
    var schema = bounds
    schema["type"] = "number"
    let writer = try Writer(["x": .object(schema)])
    #expect(writer.isLegal("x", number) == expected)
    let call = Call(name: "f", arguments: ["x": try JSON.parse(Array(number.utf8))])
    #expect(!expected || writer.functions.violations(of: call).isEmpty)
  }

  @Test("An enumerated number is written as labels write it")
  func enumerated() throws {
    let writer = try Writer(["x": ["enum": [1e-7, 2, [2.5e-8, 0.5]]]])
    for text in ["0.0000001", "2", "[0.000000025,0.5]"] { #expect(writer.isLegal("x", text), "\(text)") }
    #expect(!writer.isLegal("x", "1e-7"))
  }
}
