import Testing
import Topics

@Suite("JSON that stands in a text")
struct JSONTextTests {
  private func object(_ text: String) throws -> JSONObject { try #require(JSON.parse(text).objectValue) }

  @Test("An object is found among other text, braces and quotes, by its value; the last place counts")
  func range() throws {
    let text = Array(
      #"I "think {so: {"a": "}", "b": [1, {"c": "\""}]} or {"b":[1.0,{"c":"\""}],"a":"}"}</done> {"b":2}"#.utf8)
    let found = try #require(JSONText.range(of: object(#"{"a":"}","b":[1,{"c":"\""}]}"#), in: text))
    #expect(String(decoding: text[found], as: UTF8.self) == #"{"b":[1.0,{"c":"\""}],"a":"}"}"#)
    #expect(JSONText.range(of: try object(#"{"a":"{"}"#), in: text) == nil)
    #expect(JSONText.range(of: [:], in: []) == nil)
    #expect(JSONText.range(of: [:], in: [UInt8](repeating: UInt8(ascii: "{"), count: 100_000)) == nil)
  }

  @Test("The scalars of an object are listed with their pointers and places")
  func scalars() throws {
    let text = #"{"name": "f", "arguments": { "a/b" : "x\"y", "list":["", -1.5e3 , {"~": null}],"no":{}, "t":true }}"#
    let bytes = Array(text.utf8)
    let inner = try object(#"{"a/b":"x\"y","list":["",-1500,{"~":null}],"no":{},"t":true}"#)
    let range = try #require(JSONText.range(of: inner, in: bytes))
    let scalars = JSONText.scalars(in: bytes, range)
    #expect(scalars.map(\.pointer) == ["/a~1b", "/list/0", "/list/1", "/list/2/~0", "/t"])
    #expect(
      scalars.map { String(decoding: bytes[$0.range], as: UTF8.self) } == [#"x\"y"#, "", "-1.5e3", "null", "true"])
    #expect(scalars.map(\.isString) == [true, true, false, false, false])
    // Whatever the bytes are, a walk ends within its range.
    for end in bytes.indices {
      for scalar in JSONText.scalars(in: bytes, 0..<end) { #expect(scalar.range.upperBound <= bytes.count) }
    }
  }
}
