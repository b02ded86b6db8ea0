public import Topics

/// What training needs of a sample: the request, the call, and the name of both by content.
public struct TrainingSample: Sendable, Hashable {
  /// The identifier of the request; a later sample with the same one replaces this.
  public let id: String
  /// The digest of the sample's content.
  public let digest: Digest
  /// The messages of the request, role and content only.
  public let messages: [ChatMessage]
  /// The call to learn, its objects' keys sorted and its whole numbers written as such.
  public let call: Call
  /// The split; only `train` is ever trained on.
  public let split: Split
  /// The weight of the loss, ≥ 0; default 1.
  public let weight: Double
  /// Whether it is of the uniform share of the traffic, from which drift is seen; default true.
  public let audited: Bool
  /// Whether the traffic was seen to drift when it was chosen; default false.
  public let drifting: Bool
  /// Answers to the request that production or the verifier has judged; default none.
  public let judged: [JudgedCall]
  /// What the teacher thought of each token of its call's arguments; default nil.
  public let topLogprobs: TokenLogprobs?

  /// A sample; equal contents give equal values, in whatever order the call's keys came.
  public init(
    id: String, digest: Digest, messages: [ChatMessage], call: Call, split: Split = .train, weight: Double = 1,
    audited: Bool = true, drifting: Bool = false, judged: [JudgedCall] = [], topLogprobs: TokenLogprobs? = nil
  ) {
    self.id = id
    self.digest = digest
    self.messages = messages.map { ChatMessage(role: $0.role, content: $0.content) }
    self.call = Call(name: call.name, arguments: Self.ordered(call.arguments))
    self.split = split
    self.audited = audited
    self.drifting = drifting
    self.judged = judged
    self.topLogprobs = topLogprobs
    self.weight = weight.isFinite ? max(0, weight) : 1
  }

  /// The sample as JSON: `id`, `digest`, `messages`, `call`, `split`, `weight`, `audited` where it is false, `drifting`
  /// where it is true, and `judged` and `top_logprobs` where there are any.
  public var json: JSON {
    var object = JSONObject()
    object["id"] = .string(id)
    object["digest"] = .string(digest.hex)
    object["messages"] = .array(
      messages.map { ["role": .string($0.role.rawValue), "content": .string($0.content)] })
    object["call"] = call.json
    object["split"] = .string(split.rawValue)
    object["weight"] = .number(weight)
    if !audited { object["audited"] = false }
    if drifting { object["drifting"] = true }
    if !judged.isEmpty { object["judged"] = .array(judged.map(\.json)) }
    object["top_logprobs"] = topLogprobs?.json
    return .object(object)
  }

  /// A sample from what ``json`` wrote; `nil` where a field is missing or of another kind.
  public init?(json: JSON) {
    guard let id = json["id"]?.stringValue, let digest = json["digest"]?.stringValue.flatMap({ Digest(hex: $0) }),
      let list = json["messages"]?.arrayValue, let call = json["call"].flatMap({ try? Call(json: $0) }),
      let split = json["split"]?.stringValue.flatMap({ Split(rawValue: $0) }), let weight = json["weight"]?.doubleValue
    else { return nil }
    var messages: [ChatMessage] = []
    for item in list {
      guard let role = item["role"]?.stringValue.flatMap({ ChatMessage.Role(rawValue: $0) }),
        let content = item["content"]?.stringValue
      else { return nil }
      messages.append(ChatMessage(role: role, content: content))
    }
    let stated = json["judged"]?.arrayValue ?? []
    let judged = stated.compactMap { try? JudgedCall(json: $0) }
    let logged = json["top_logprobs"]
    let topLogprobs = logged.flatMap { try? TokenLogprobs(json: $0) }
    guard judged.count == stated.count, (topLogprobs == nil) == (logged == nil) else { return nil }
    self.init(
      id: id, digest: digest, messages: messages, call: call, split: split, weight: weight,
      audited: json["audited"]?.boolValue ?? true, drifting: json["drifting"]?.boolValue ?? false, judged: judged,
      topLogprobs: topLogprobs)
  }

  private static func ordered(_ object: JSONObject) -> JSONObject {
    var result = JSONObject()
    for key in object.keys.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
      result[key] = object[key].map(ordered)
    }
    return result
  }

  private static func ordered(_ value: JSON) -> JSON {
    switch value {
    case .object(let object): .object(ordered(object))
    case .array(let elements): .array(elements.map(ordered))
    case .number(let number): Int64(exactly: number).map(JSON.integer) ?? value
    default: value
    }
  }
}
