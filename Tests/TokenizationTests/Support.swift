import Foundation
import Tokenization
import Topics

/// The files beside `Goldens/make.py`.
func golden(_ name: String) throws -> [UInt8] {
  let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Goldens/\(name)")
  return Array(try Data(contentsOf: url))
}

/// Real requests beside the repository: `RETORT_DATA`, else `../shared/data`.
enum SharedData {
  struct Row: Sendable {
    let text: String
    let call: Call
  }

  static let folder: URL = {
    if let path = ProcessInfo.processInfo.environment["RETORT_DATA"] { return URL(fileURLWithPath: path) }
    var root = URL(fileURLWithPath: #filePath)
    for _ in 0..<3 { root.deleteLastPathComponent() }
    return root.appendingPathComponent("../shared/data")
  }()

  static func has(_ name: String) -> Bool {
    FileManager.default.fileExists(atPath: folder.appendingPathComponent("\(name)/functions.json").path)
  }

  static func functions(_ name: String) throws -> FunctionSet {
    try FunctionSet(json: JSON.parse(Data(contentsOf: folder.appendingPathComponent("\(name)/functions.json"))))
  }

  static func rows(_ name: String) throws -> [Row] {
    let data = try Data(contentsOf: folder.appendingPathComponent("\(name)/train.jsonl"))
    return try data.split(separator: 10).map { line in
      let json = try JSON.parse(line)
      return Row(text: json["text"]?.stringValue ?? "", call: try Call(json: json["call"] ?? .null))
    }
  }
}

/// A set of functions in which every kind of value occurs.
func everyKind() throws -> FunctionSet {
  try FunctionSet(
    json: JSON.parse(
      """
      [{"type":"function","function":{"name":"book","parameters":{"type":"object","properties":{
        "place":{"type":"string"},"people":{"type":"integer"},"price":{"type":"number"},"outside":{"type":"boolean"},
        "note":{"type":["string","null"]},"tags":{"type":"array","items":{"type":"string"}},
        "hours":{"type":"array","items":{"type":"integer"}},
        "when":{"type":"object","properties":{"day":{"type":"string"},"hour":{"type":"integer"},
          "exact":{"type":"object","properties":{"zone":{"type":"string"}}}}},
        "guests":{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}}}},
        "either":{"anyOf":[{"type":"string"},{"type":"array","items":{"type":"string"}}]},
        "straße":{"type":"string"},"kind":{"enum":["a","b",3]}}}}},
       {"type":"function","function":{"name":"stop","parameters":{"type":"object","properties":{}}}}]
      """))
}

/// Sentences enough to train a small tokenizer.
let sentences: [String] = {
  let verbs = ["Play", "Book", "Find", "Show me", "I'd like", "Réserve", "Забронируй", "please add", "What's"]
  let things = [
    "a table", "the weather", "some music", "seven songs", "ein Zimmer", "un café", "столик", "東京の天気", "my list",
  ]
  let ends = [
    "in Berlin", "at 7 pm", "for two.", "on Top100!", "near the Straße", "tomorrow, please", "\"now\"", "à Reykjavík",
  ]
  var all: [String] = []
  for verb in verbs { for thing in things { for end in ends { all.append("\(verb) \(thing) \(end)") } } }
  return all
}()

/// A small generator with a seed, so that every run tests the same.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
