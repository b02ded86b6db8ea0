import DemoWorld
import Foundation
import Topics

/// The demo's deployment: a folder with a configuration, functions and requests, as a user would have them.
struct DemoFolder {
  let path: String

  /// Requests put into the log; those after them in the grammar are never seen in training.
  static let requests = 4_000
  /// Unseen requests on which the last release is measured.
  static let unseen = 500
  static let seed: UInt64 = 2_026

  /// Writes the folder for a teacher at an address; `additions` are more lines of the configuration, and one function may
  /// be left out, which ``writeFunctions(without:)`` then adds.
  func write(endpoint: String, additions: String = "", without function: String? = nil) throws {
    let base = String(endpoint.hasSuffix("/v1") ? endpoint.dropLast(3)[...] : endpoint[...])
    try put(Self.configuration(endpoint: endpoint, base: base) + "\n" + additions, "retort.yaml")
    try writeFunctions(without: function)
  }

  /// Writes the functions of the task, but for one.
  func writeFunctions(without function: String? = nil) throws {
    let tools = try HomeFunctions.functions().functions.filter { $0.name != function }.map(\.json)
    try put(FunctionFile.text(of: FunctionSet(json: .array(tools))), "functions.json")
  }

  /// The requests of the demo as lines to import; no answers: those must come from the teacher.
  static func requestLines() -> [[UInt8]] {
    let grammar = RequestGrammar(seed: seed)
    return (0..<requests).map { grammar.request(at: $0).record.json.bytes }
  }

  /// Requests whose texts are in none of the lines.
  static func unseenRequests() -> [DemoRequest] {
    let grammar = RequestGrammar(seed: seed)
    let known = Set((0..<requests).map { NormalisedText.of([.user(grammar.request(at: $0).text)]) })
    var found: [DemoRequest] = []
    var texts: Set<String> = []
    var index = requests
    while found.count < unseen && index < requests * 20 {
      let request = grammar.request(at: index)
      let text = NormalisedText.of([.user(request.text)])
      if !known.contains(text), texts.insert(text).inserted { found.append(request) }
      index += 1
    }
    return found
  }

  private func put(_ text: String, _ name: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: "\(path)/\(name)"), options: .atomic)
  }

  /// Smaller than the defaults, so that the whole loop takes minutes.
  private static func configuration(endpoint: String, base: String) -> String {
    """
    model: home-assistant
    task:
      functions: functions.json
      instructions: \(JSON.string(HomeFunctions.instructions).text)
      lookups: \(lookups(base))
      verifier:
        url: "\(base)/verify"
    teacher:
      endpoint: "\(endpoint)"
      model: \(StandInTeacher.model)
      max_concurrent_requests: 16
    train:
      recipe:
        hidden_size: 128
        layer_count: 4
        head_count: 4
        key_value_head_count: 2
        feed_forward_size: 352
        vocabulary_size: 1024
        tokenizer_samples: 400
        replay_per_sample: 12
        learning_rate: 0.002
        dropout: 0.1
        decay_steps: 400
        candidate_steps: 0
        base_steps: 0
    release:
      every: 1200
      prune: ffn=0.875
      recovery_steps: 200
      gate:
        minimum: 50
    """
  }

  private static func lookups(_ base: String) -> String {
    let list: JSON = [["function": HomeFunctions.lookupJSON, "http": ["url": .string(base + "/lookup/find_devices")]]]
    return list.text
  }
}
