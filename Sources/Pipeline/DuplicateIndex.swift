import Teacher
import Topics

/// Which request ids have been sampled, and with what: so that a producer that sends twice costs no second label.
///
/// Holds 24 bytes an id for the newest `capacity` ids, read from `samples` when the stage starts. Beyond that an old
/// id that comes again is labelled again and supersedes its sample, which the key of `samples` makes harmless.
struct DuplicateIndex {
  /// How a request relates to what was sampled under its id.
  enum Relation {
    /// No sample has this id.
    case new
    /// The same request again, with nothing new in it.
    case repeated
    /// The same messages with another recorded answer of a trusted producer: a new version of the sample. Not of one that
    /// feedback has corrected: a request that comes again must not undo that.
    case relabelled
    /// The id was used for other messages.
    case conflicting
  }

  private struct Known {
    var messages: UInt64
    /// 0 of a correction.
    var call: UInt64
  }

  private var known: [UInt64: Known] = [:]
  private var order: [UInt64] = []
  /// What was known of the ids of a transaction before it, in its order; empty once it is committed.
  private var replaced: [(id: UInt64, known: Known?)] = []
  private let capacity: Int

  init(capacity: Int = 1_000_000) {
    self.capacity = capacity
  }

  /// Learns the next record of `samples`.
  ///
  /// - Parameter isOfFeedback: whether its headers name feedback as what it comes from.
  mutating func learn(_ sample: SampleRecord, isOfFeedback: Bool) {
    // In logs of earlier versions scored labels say so, too; their call is that of the version before.
    let isCorrection =
      isOfFeedback && known[Self.hash(Array(sample.id.utf8))]?.call != sample.call.map(Self.hash)
    learn(id: sample.id, messages: sample.messages, call: isCorrection ? nil : sample.call)
  }

  /// Forgets an id whose sample was erased: that has no word in what becomes of it.
  mutating func forget(_ key: [UInt8]) { known[Self.hash(key)] = nil }

  /// How a request relates to what is known.
  func relation(of request: RequestRecord, trusted: Set<String>) -> Relation {
    guard let known = known[Self.hash(Array(request.id.utf8))] else { return .new }
    guard known.messages == Self.hash(request.messages) else { return .conflicting }
    guard let response = request.response, trusted.contains(response.producer),
      known.call != 0, let call = try? response.answeredCall(), Self.hash(call) != known.call
    else { return .repeated }
    return .relabelled
  }

  /// Remembers what the next transaction writes: for good once it is committed, which ``keepWritten()`` says.
  mutating func learn(_ outcome: LabelledRequest) {
    guard case .sampled(let request, let label, _) = outcome else { return }
    let id = Self.hash(Array(request.id.utf8))
    replaced.append((id, known[id]))
    learn(id: request.id, messages: request.messages, call: label.call)
  }

  /// The transaction is committed.
  mutating func keepWritten() { replaced = [] }

  /// Knows what it knew before a transaction that is not known to be committed; if it is, `samples` says so.
  mutating func forgetUnwritten() {
    for (id, before) in replaced.reversed() where known[id] != nil { known[id] = before }
    replaced = []
  }

  private mutating func learn(id: String, messages: [ChatMessage], call: Call?) {
    let key = Self.hash(Array(id.utf8))
    if known[key] == nil { order.append(key) }
    known[key] = Known(messages: Self.hash(messages), call: call.map(Self.hash) ?? 0)
    if order.count > 2 * capacity || known.count > capacity { forgetOldest() }
  }

  private mutating func forgetOldest() {
    let excess = known.count - capacity * 9 / 10
    guard excess > 0 else { return }
    for key in order.prefix(excess) { known[key] = nil }
    order.removeFirst(min(excess, order.count))
  }

  private static func hash(_ messages: [ChatMessage]) -> UInt64 {
    hash(JSON.array(messages.map { .array([.string($0.role.rawValue), .string($0.content)]) }).canonical)
  }

  private static func hash(_ call: Call) -> UInt64 { hash(call.json.canonical) }

  private static func hash(_ bytes: [UInt8]) -> UInt64 {
    Digest.sha256(bytes).bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
  }
}
