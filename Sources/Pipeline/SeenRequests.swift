import MessageLog
import RetortClient
package import Topics

/// The words of the requests that have been labelled: which requests were the same words, and which words never occurred.
///
/// Two requests are near-duplicates if they have the same words, in whatever order, case and punctuation. Holds eight bytes
/// a request and a word; beyond `capacity` of either it starts anew, and some requests are labelled once more.
package struct SeenRequests {
  private var requests: Set<UInt64> = []
  private var words: Set<UInt64> = []
  private var learned: [TopicPartition: Int64] = [:]
  private let capacity: Int

  package init(capacity: Int = 1_000_000) { self.capacity = capacity }

  /// Learns what `samples` holds beyond what was learned before.
  mutating func update(log: any MessageLog, names: TopicNames) async throws {
    let partition = TopicPartition(topic: names.samples, partition: 0)
    let end = try await log.watermarks(of: partition).high
    let start = learned[partition].map { StartPosition.offset($0) } ?? .earliest
    if case .offset(let offset) = start, offset >= end { return }
    try await TopicScan.each(log: log, partition: partition, from: start, to: end) { record in
      guard let sample = try? RecordCoding.value(of: record, as: SampleRecord.self), sample.kind == .sample
      else { return }
      learn(sample.messages)
    }
    learned[partition] = end
  }

  /// Remembers a request.
  package mutating func learn(_ messages: [ChatMessage]) {
    if requests.count >= capacity { requests = [] }
    if words.count >= capacity { words = [] }
    let own = Self.words(of: messages)
    requests.insert(Self.hash(own.sorted()))
    words.formUnion(own.map { Self.hash([$0]) })
  }

  /// Whether a request of the same words was labelled.
  package func hasSeen(_ messages: [ChatMessage]) -> Bool {
    requests.contains(Self.hash(Self.words(of: messages).sorted()))
  }

  /// The share of a request's words that stand in no labelled request; 0 of a request without words.
  package func novelty(of messages: [ChatMessage]) -> Double {
    let own = Self.words(of: messages)
    guard !own.isEmpty else { return 0 }
    return Double(own.count { !words.contains(Self.hash([$0])) }) / Double(own.count)
  }

  /// Runs of letters and digits of what the user said, in lower case.
  private static func words(of messages: [ChatMessage]) -> [String] {
    NormalisedText.of(messages).split { !$0.isLetter && !$0.isNumber }.map(String.init)
  }

  private static func hash(_ words: [String]) -> UInt64 {
    Digest.sha256(Array(words.joined(separator: "\n").utf8)).bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
  }
}
