/// A labelled request, or a cut that closes a round of training and asks for a release.
///
/// The fields that training sees cannot be changed, since `digest` names them; the others can.
public struct SampleRecord: TopicValue, Hashable {
  /// What a record of the topic is.
  public enum Kind: String, Sendable, CaseIterable {
    /// A labelled request.
    case sample
    /// The end of a round.
    case cut
  }

  /// The `schema` header of the records.
  public static let schemaName = "samples/1.0"

  /// The topic's settings: one partition, because its order is the training order; tombstones that stay long, for
  /// a trainer that is away.
  public static let topic = TopicSpecification(
    name: "samples", key: "request id", cleanup: [.compact], tombstoneMilliseconds: 90 * 86_400_000,
    logAppendTime: true, maximumMessageBytes: 24 << 20, schemaName: schemaName,
    schema: PackageResources.samples_schema_json)

  /// What this record is.
  public let kind: Kind
  /// The request's id; of a cut, `cut/` and sixteen hexadecimal digits.
  public let id: String
  /// The conversation up to the question; empty for a cut.
  public let messages: [ChatMessage]
  /// The target; nil for a cut only.
  public let call: Call?
  /// Which part of the data it belongs to; nil for a cut only.
  public let split: Split?
  /// How much it counts in training, above 0 to 1,000; default 1.
  public let weight: Double
  /// Whether it belongs to the uniform share of the traffic; false where only the labelling policy's interest chose it,
  /// so that no accuracy is estimated from it without weights. Default true.
  public let audited: Bool
  /// Whether the label stage saw the traffic drift when it chose the request: the deployed student was sure of less of it
  /// than of development samples. Default false.
  public let drifting: Bool
  /// Calls in answer to the request that production or the verifier has judged, each once; default none.
  public let judged: [JudgedCall]
  /// What the teacher thought of each token of its call's arguments; nil where it was not asked. Default nil.
  public let topLogprobs: TokenLogprobs?
  /// The digest of the functions that the call is one of.
  public let functionsDigest: Digest?
  /// The digest of the content that training sees; see `contentDigest`.
  public let digest: Digest
  /// Who labelled it.
  public var producer: String?
  /// The digest of the teacher's instructions.
  public var promptDigest: Digest?
  /// How many of how many answers agreed.
  public var votes: Votes?
  /// What verified the label, and how it judged.
  public var verdicts: [LabelVerdict]
  /// The probability with which the labelling policy chose this request, 1e-9 to 1.
  public var propensity: Double?
  /// Why the labelling policy chose it; nil where everything is labelled.
  public var choice: LabelChoice?
  /// What the teacher's answers took.
  public var usage: TokenUsage?
  /// What they cost, in the currency of the configuration.
  public var cost: Double?
  /// The teacher's dialogue, tool calls included.
  public var trace: [ChatMessage]
  /// The request's coordinates.
  public var source: RecordCoordinates?
  /// Fields that this version does not know.
  public var extra: JSONObject

  /// A labelled request.
  public init(
    id: String, messages: [ChatMessage], call: Call, split: Split, functionsDigest: Digest? = nil, weight: Double = 1,
    audited: Bool = true, drifting: Bool = false, judged: [JudgedCall] = [], topLogprobs: TokenLogprobs? = nil
  ) {
    self.init(
      kind: .sample, id: id, messages: messages, call: call, split: split, functionsDigest: functionsDigest,
      weight: weight, audited: audited, drifting: drifting, judged: judged, topLogprobs: topLogprobs)
  }

  /// The cut after the samples of `chain`, by whose first digits it is named: no later cut ever has its key.
  public static func cut(after chain: Digest) -> SampleRecord {
    SampleRecord(
      kind: .cut, id: "cut/\(chain.hex.prefix(16))", messages: [], call: nil, split: nil, functionsDigest: nil,
      weight: 1,
      audited: true)
  }

  private init(
    kind: Kind, id: String, messages: [ChatMessage], call: Call?, split: Split?, functionsDigest: Digest?,
    weight: Double, audited: Bool, drifting: Bool = false, judged: [JudgedCall] = [], topLogprobs: TokenLogprobs? = nil
  ) {
    self.kind = kind
    self.id = id
    self.messages = messages
    self.call = call
    self.split = split
    self.functionsDigest = functionsDigest
    self.weight = weight
    self.audited = audited
    self.drifting = drifting
    self.judged = judged
    self.topLogprobs = topLogprobs
    digest = Self.contentDigest(
      kind: kind, id: id, messages: messages, call: call, split: split, weight: weight,
      functionsDigest: functionsDigest, audited: audited, drifting: drifting, judged: judged, topLogprobs: topLogprobs)
    verdicts = []
    trace = []
    extra = [:]
  }

  /// SHA-256 of the canonical JSON of what training sees: id, role and content of each message, call, split, weight,
  /// functions digest, `audited` where it is false, `drifting` where it is true, call and score of what was judged, the
  /// teacher's log-probabilities; nothing about time, offsets, cost or usage. Of a cut: its kind and id.
  public var contentDigest: Digest { digest }

  private static func contentDigest(
    kind: Kind, id: String, messages: [ChatMessage], call: Call?, split: Split?, weight: Double,
    functionsDigest: Digest?, audited: Bool, drifting: Bool, judged: [JudgedCall], topLogprobs: TokenLogprobs?
  ) -> Digest {
    var content: JSONObject = ["id": .string(id), "kind": .string(kind.rawValue)]
    if kind == .sample {
      content["messages"] = .array(
        messages.map { ["role": .string($0.role.rawValue), "content": .string($0.content)] })
      content["call"] = call?.json ?? .null
      content["split"] = split.map { .string($0.rawValue) } ?? .null
      content["weight"] = .number(weight)
      content["functions_digest"] = functionsDigest.map { .string($0.hex) } ?? .null
      if !audited { content["audited"] = false }
      if drifting { content["drifting"] = true }
      if !judged.isEmpty {
        content["judged"] = .array(judged.map { ["call": $0.call.json, "score": .number($0.score)] })
      }
      content["top_logprobs"] = topLogprobs?.json
    }
    return .sha256(JSON.object(content).canonical)
  }
}

// MARK: JSON

extension SampleRecord {
  /// Reads a sample or a cut, and checks that its digest names its content.
  ///
  /// - Throws: `TopicError`: what is wrong with a field, or `digest_mismatch`.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "samples")
    let kind = try fields.optionalWord("kind", as: Kind.self) ?? .sample
    let id = try fields.string("id")
    let stated = try fields.digest("digest")
    if kind == .cut {
      self.init(kind: .cut, id: id, messages: [], call: nil, split: nil, functionsDigest: nil, weight: 1, audited: true)
    } else {
      let messages = try fields.array("messages", 1...1_000) { (json) throws(TopicError) -> ChatMessage in
        try ChatMessage(json: json)
      }
      let weight = try fields.optionalNumber("weight", 0...1_000) ?? 1
      guard weight > 0 else { throw fields.invalid("weight", "a number above 0", "0") }
      self.init(
        kind: .sample, id: id, messages: messages,
        call: try fields.nested("call") { (json) throws(TopicError) -> Call in try Call(json: json) },
        split: try fields.word("split", as: Split.self), functionsDigest: try fields.optionalDigest("functions_digest"),
        weight: weight, audited: try fields.optionalBool("audited") ?? true,
        drifting: try fields.optionalBool("drifting") ?? false,
        judged: try fields.optionalArray("judged", 0...JudgedCall.limit) { (json) throws(TopicError) -> JudgedCall in
          try JudgedCall(json: json)
        } ?? [],
        topLogprobs: try fields.optionalNested("top_logprobs") { (json) throws(TopicError) -> TokenLogprobs in
          try TokenLogprobs(json: json)
        })
      try readLabelling(&fields)
    }
    guard stated == digest else {
      throw TopicError(.digest, in: "samples", at: "digest", expected: digest.hex, found: stated.hex)
    }
    extra = fields.rest
  }

  private mutating func readLabelling(_ fields: inout Fields) throws(TopicError) {
    producer = try fields.optionalString("producer", 1...512)
    promptDigest = try fields.optionalDigest("prompt_digest")
    votes = try fields.optionalNested("votes") { (json) throws(TopicError) -> Votes in try Votes(json: json) }
    verdicts =
      try fields.optionalArray("verdicts", 0...64) { (json) throws(TopicError) -> LabelVerdict in
        try LabelVerdict(json: json)
      } ?? []
    // Estimates divide by it.
    propensity = try fields.optionalNumber("propensity", 1e-9...1)
    choice = try fields.optionalNested("choice") { (json) throws(TopicError) -> LabelChoice in
      try LabelChoice(json: json)
    }
    usage = try fields.optionalNested("usage") { (json) throws(TopicError) -> TokenUsage in
      try TokenUsage(json: json)
    }
    cost = try fields.optionalNumber("cost", 0...1e9)
    trace =
      try fields.optionalArray("trace", 0...1_000) { (json) throws(TopicError) -> ChatMessage in
        try ChatMessage(json: json)
      } ?? []
    source = try fields.optionalNested("source") { (json) throws(TopicError) -> RecordCoordinates in
      try RecordCoordinates(json: json)
    }
  }

  /// The record's value.
  public var json: JSON {
    var object: JSONObject = ["kind": .string(kind.rawValue), "id": .string(id)]
    if kind == .sample {
      object["messages"] = .array(messages.map(\.json))
      object["call"] = call?.json
      object["producer"] = producer.map { .string($0) }
      object["prompt_digest"] = promptDigest.map { .string($0.hex) }
      object["functions_digest"] = functionsDigest.map { .string($0.hex) }
      object["votes"] = votes?.json
      if !verdicts.isEmpty { object["verdicts"] = .array(verdicts.map(\.json)) }
      object["propensity"] = propensity.map { .number($0) }
      object["choice"] = choice?.json
      object["usage"] = usage?.json
      object["cost"] = cost.map { .number($0) }
      if !trace.isEmpty { object["trace"] = .array(trace.map(\.json)) }
      object["source"] = source?.json
      object["split"] = split.map { .string($0.rawValue) }
      if weight != 1 { object["weight"] = .number(weight) }
      if !audited { object["audited"] = false }
      if drifting { object["drifting"] = true }
      if !judged.isEmpty { object["judged"] = .array(judged.map(\.json)) }
      object["top_logprobs"] = topLogprobs?.json
    }
    object["digest"] = .string(digest.hex)
    object.merge(extra)
    return .object(object)
  }
}
