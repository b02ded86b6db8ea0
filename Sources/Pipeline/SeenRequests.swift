package import Topics

/// The words of the requests that have been labelled or are being asked about: which requests were the same words, and which words
/// never occurred.
///
/// Two requests are near-duplicates if all that was said in them, system messages included, has the same words in the same order,
/// whatever their case and punctuation. Holds eight bytes
/// a request and a word; beyond `capacity` of either it starts anew, and some requests are labelled once more.
package struct SeenRequests {
  private var requests: Set<UInt64> = []
  private var words: Set<UInt64> = []
  /// How many requests of these words are being asked about.
  private var asking: [UInt64: Int] = [:]
  private let capacity: Int

  package init(capacity: Int = 1_000_000) { self.capacity = capacity }

  /// Remembers a request.
  package mutating func learn(_ messages: [ChatMessage]) {
    if requests.count >= capacity { requests = [] }
    if words.count >= capacity { words = [] }
    requests.insert(Self.hash(of: messages))
    words.formUnion(Self.words(of: messages).map { Self.hash([$0]) })
  }

  /// Remembers a request until its label is written, or it is known that there will be none: ``settle(_:isLabelled:)``.
  package mutating func ask(_ messages: [ChatMessage]) {
    for hash in Self.hashes(of: messages) { asking[hash, default: 0] += 1 }
  }

  /// Takes in what became of a request that was asked about: without a label nothing was learned from it.
  package mutating func settle(_ messages: [ChatMessage], isLabelled: Bool) {
    for hash in Self.hashes(of: messages) {
      guard let count = asking[hash] else { continue }
      asking[hash] = count > 1 ? count - 1 : nil
    }
    if isLabelled { learn(messages) }
  }

  /// Forgets what is being asked about: whoever asked is gone.
  package mutating func forgetAsked() { asking = [:] }

  /// The request's words together, and each of them.
  private static func hashes(of messages: [ChatMessage]) -> [UInt64] {
    [hash(of: messages)] + Set(words(of: messages)).map { hash([$0, ""]) }
  }

  /// Whether a request of the same words was labelled, or is being asked about.
  package func hasSeen(_ messages: [ChatMessage]) -> Bool {
    let own = Self.hash(of: messages)
    return requests.contains(own) || asking[own] != nil
  }

  /// The share of a request's words that stand in no labelled request; 0 of a request without words.
  package func novelty(of messages: [ChatMessage]) -> Double {
    let own = Self.words(of: messages)
    guard !own.isEmpty else { return 0 }
    return Double(own.count { !words.contains(Self.hash([$0])) && asking[Self.hash([$0, ""])] == nil })
      / Double(own.count)
  }

  /// Runs of letters and digits of what the user said, in lower case.
  private static func words(of messages: [ChatMessage]) -> [String] { words(NormalisedText.of(messages)) }

  private static func words(_ text: String) -> [String] {
    text.split { !$0.isLetter && !$0.isNumber }.map(String.init)
  }

  /// Of all words, who said them, and the calls between them.
  private static func hash(of messages: [ChatMessage]) -> UInt64 {
    hash(
      messages.flatMap { message in
        ["<\(message.role.rawValue)>"] + words(NormalisedText.of(message.content))
          + message.toolCalls.flatMap { [$0.name, $0.arguments] }
      })
  }

  private static func hash(_ words: [String]) -> UInt64 {
    Digest.sha256(Array(words.joined(separator: "\n").utf8)).bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
  }
}
