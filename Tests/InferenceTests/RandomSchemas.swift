import Foundation
import Topics

/// Function sets and requests to throw at the constraint.
struct RandomSchemas {
  var random: RandomSource

  init(seed: UInt64) { random = RandomSource(seed) }

  /// How many are tried: RETORT_SCHEMAS, else as many as fit a test run.
  static func count(_ usual: Int) -> Int {
    ProcessInfo.processInfo.environment["RETORT_SCHEMAS"].flatMap(Int.init) ?? usual
  }

  mutating func functions() throws -> FunctionSet {
    let count = Int.random(in: 1...4, using: &random)
    return try FunctionSet(
      json: .array(
        (0..<count).map { index in
          [
            "type": "function",
            "function": [
              "name": .string("function_\(index)"), "description": "A function.", "parameters": object(depth: 0),
            ],
          ]
        }))
  }

  mutating func request() -> String {
    let words = [
      "play", "the", "song", "\"Hells Bells\"", "by", "AC/DC", "in", "Zürich", "日本語", "at", "7", "o'clock", "🎸 rock",
      "C:\\temp",
      "line\nbreak", "tab\there", "\u{01}bell", "é", "Top100", "x", "{\"a\":1}", "",
    ]
    let count = Int.random(in: 0...12, using: &random)
    return (0..<count).map { _ in words.randomElement(using: &random) ?? "" }.joined(separator: " ")
  }

  private mutating func object(depth: Int) -> JSON {
    let names = ["city", "time", "artist", "the \"name\"", "größe", "a", "ab", "abc", "list", "flag"].shuffled(
      using: &random)
    let count = Int.random(in: 0...(depth == 0 ? 5 : 3), using: &random)
    var properties = JSONObject()
    var required: [JSON] = []
    for name in names.prefix(count) {
      properties[name] = schema(depth: depth + 1)
      if random.chance(0.4) { required.append(.string(name)) }
    }
    var result: JSONObject = ["type": "object", "properties": .object(properties)]
    if random.chance(0.5) { result["required"] = .array(required) }
    switch Int.random(in: 0...5, using: &random) {
    case 0, 1: result["additionalProperties"] = false
    case 2: result["additionalProperties"] = schema(depth: depth + 2)
    case 3: result["additionalProperties"] = true
    default: break
    }
    return .object(result)
  }

  private mutating func schema(depth: Int) -> JSON {
    switch Int.random(in: 0...(depth > 3 ? 6 : 11), using: &random) {
    case 0: return string()
    case 1: return integer()
    case 2: return number()
    case 3: return ["type": "boolean"]
    case 4: return enumeration()
    case 5: return ["type": ["string", "null"]]
    case 6: return ["const": "fixed \"value\"\n"]
    case 7: return object(depth: depth)
    case 8: return array(depth: depth)
    case 9: return ["anyOf": [schema(depth: depth + 1), array(depth: depth)]]
    case 10: return ["anyOf": [string(), integer(), ["type": "null"], object(depth: depth + 1)]]
    default: return random.chance(0.3) ? [:] : string()
    }
  }

  private mutating func string() -> JSON {
    var result: JSONObject = ["type": "string"]
    if random.chance(0.2) { result["minLength"] = .integer(Int64.random(in: 0...6, using: &random)) }
    if random.chance(0.2) { result["maxLength"] = .integer(Int64.random(in: 6...20, using: &random)) }
    if random.chance(0.1) { result["pattern"] = "^[A-Za-z]+$" }
    return .object(result)
  }

  private mutating func integer() -> JSON {
    var result: JSONObject = ["type": "integer"]
    let low = Int64.random(in: -1_200...1_200, using: &random)
    if random.chance(0.5) { result["minimum"] = .integer(low) }
    if random.chance(0.5) { result["maximum"] = .integer(low + Int64.random(in: 0...1_500, using: &random)) }
    if random.chance(0.2) { result["multipleOf"] = .integer(Int64.random(in: 1...9, using: &random)) }
    return .object(result)
  }

  private mutating func number() -> JSON {
    var result: JSONObject = ["type": "number"]
    let low = Double.random(in: -20...20, using: &random)
    if random.chance(0.5) { result[random.chance(0.5) ? "minimum" : "exclusiveMinimum"] = .number(low) }
    if random.chance(0.5) {
      result[random.chance(0.5) ? "maximum" : "exclusiveMaximum"] = .number(
        low + Double.random(in: 0.1...30, using: &random))
    }
    if random.chance(0.2) { result["multipleOf"] = 0.5 }
    return .object(result)
  }

  private mutating func enumeration() -> JSON {
    let values: [JSON] = [
      "on", "off", "on and off", 1, 10, 100, -1, 2.5, true, nil, "", "ÿ \"q\"", [1, 2], ["k": "v"],
    ]
    return ["enum": .array(Array(values.shuffled(using: &random).prefix(Int.random(in: 1...5, using: &random))))]
  }

  private mutating func array(depth: Int) -> JSON {
    var result: JSONObject = ["type": "array", "items": schema(depth: depth + 1)]
    if random.chance(0.5) { result["maxItems"] = .integer(Int64.random(in: 2...4, using: &random)) }
    if random.chance(0.3) { result["minItems"] = .integer(Int64.random(in: 0...2, using: &random)) }
    return .object(result)
  }
}
