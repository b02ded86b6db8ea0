public import Topics

/// A request of the demo with the call it means.
public struct DemoRequest: Sendable, Hashable {
  /// The number of the request in its stream.
  public let index: Int
  /// What is said.
  public let text: String
  /// What is meant.
  public let call: Call

  /// The request as a record with the id `demo-<index>`.
  public var record: RequestRecord { RequestRecord(id: "demo-\(index)", text: text) }
}

/// Writes varied requests, each with its true call, and reads them back.
///
/// Request `i` is a pure function of (seed, i). Texts are built from a template of the drawn function, values
/// from closed pools, and polite words around it. String arguments stand in the text word by word, save those
/// that an `enum` fixes; numbers are digits.
public struct RequestGrammar: Sendable {
  private static let parser = RequestParser()
  /// The seed of the stream.
  public let seed: UInt64
  private let before: [[Templates.Template]]
  private let after: [[Templates.Template]]
  private let change: Int

  /// Makes the stream of a seed.
  ///
  /// - Parameters:
  ///   - scenario: how the traffic changes.
  ///   - changesAt: the number of the first request after the change.
  public init(seed: UInt64, scenario: Scenario = .steady, changesAt: Int = .max) {
    self.seed = seed
    before = scenario.templates(hasChanged: false)
    after = scenario.templates(hasChanged: true)
    change = changesAt
  }

  /// Request number `index` (≥ 0) of the stream.
  public func request(at index: Int) -> DemoRequest {
    var random = SeededRandom(text: String(index), salt: "request", seed: seed)
    guard let templates = random.pick(index < change ? before : after), let template = random.pick(templates) else {
      return DemoRequest(index: index, text: "", call: Call(name: "", arguments: [:]))
    }
    var sentence = ""
    var arguments: JSONObject = [:]
    for piece in RequestParser.pieces(of: template) {
      switch piece {
      case .literal(let text): sentence += text
      case .slot(let key, let values):
        guard let value = random.pick(values) else { continue }
        sentence += value.text
        arguments[key] = value.json
      }
    }
    arguments.merge(template.constants)
    let text = Self.spoken(sentence, template.mood, &random)
    return DemoRequest(index: index, text: text, call: Call(name: template.function, arguments: arguments))
  }

  /// A range of the stream.
  public func requests(_ range: Range<Int>) -> [DemoRequest] { range.map { request(at: $0) } }

  /// The call that a text means, or nil when no grammar wrote it.
  public static func call(for text: String) -> Call? { parser.calls(for: text).first }

  /// Every call that a text could mean.
  package static func calls(for text: String) -> [Call] { parser.calls(for: text) }

  /// Puts polite words around a sentence, and sometimes a capital and a mark.
  private static func spoken(_ sentence: String, _ mood: Templates.Mood, _ random: inout SeededRandom) -> String {
    let before = mood == .statement ? Templates.interjections : Templates.prefixes
    // Half of all requests are plain: people are in a hurry.
    var text = (random.below(2) == 0 ? "" : random.pick(before) ?? "") + sentence
    if mood == .command, random.below(2) == 0 { text += random.pick(Templates.suffixes) ?? "" }
    if random.below(3) == 0 { text = text.prefix(1).uppercased() + text.dropFirst() }
    if mood != .dictation { text += random.pick(Templates.marks) ?? "" }
    return text
  }
}
