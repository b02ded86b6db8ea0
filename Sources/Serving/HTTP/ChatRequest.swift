import Inference
import Topics

/// The body of `POST /v1/chat/completions`, checked.
///
/// Reference: OpenAI API, "Create chat completion". Parameters that steer sampling are taken and have no effect: an answer
/// is the most probable one.
struct ChatRequest: Sendable {
  /// The largest body, in bytes.
  static let maximumBytes = 1 << 20
  static let maximumMessages = 1_000

  let messages: [ChatMessage]
  /// The model that was asked for; nil: whichever is served.
  let model: String?
  let streams: Bool
  let includesUsage: Bool
  /// The functions that the client knows of; nil where it sent none.
  let tools: Tools?
  /// The only tools that the answer may call, by `tool_choice`; empty: none; nil: any.
  let choice: [String]?
  /// Whether `tool_choice` demands a call, whatever the request is about.
  let demandsCall: Bool

  /// Whether a person has the last word, which a call can answer: behind the result of a call words are wanted.
  var endsWithUser: Bool { messages.last?.role == .user }

  init(bytes: [UInt8]) throws(ServingError) {
    let json: JSON
    do throws(JSONError) {
      json = try JSON.parse(bytes, maximumBytes: Self.maximumBytes)
    } catch {
      throw ServingError(.invalidRequest, error.description)
    }
    guard case .object(let body) = json else {
      throw ServingError(.invalidRequest, "The body: expected a JSON object, found \(json.typeName).")
    }
    messages = try Self.messages(body["messages"])
    model = try Self.optional(body, "model", "a string") { $0.stringValue }
    streams = try Self.optional(body, "stream", "true or false") { $0.boolValue } ?? false
    let options = try Self.optional(body, "stream_options", "an object") { $0.objectValue } ?? [:]
    includesUsage = try Self.optional(options, "include_usage", "true or false") { $0.boolValue } ?? false
    if let count = try Self.optional(body, "n", "a whole number", { $0.integerValue }), count != 1 {
      throw ServingError(
        .invalidRequest,
        "n: expected 1, found \(count); an answer is the most probable one, so more would be the same.",
        parameter: "n")
    }
    for name in ["max_tokens", "max_completion_tokens"] {
      guard let count = try Self.optional(body, name, "a whole number", { $0.integerValue }), count < 1 else {
        continue
      }
      throw ServingError(
        .invalidRequest, "\(name): expected at least 1, found \(count); an answer is one whole call, however long.",
        parameter: name)
    }
    tools = try Self.tools(body["tools"])
    choice = try Self.choice(body["tool_choice"])
    demandsCall = Self.demandsCall(body["tool_choice"])
  }

  private static func messages(_ json: JSON?) throws(ServingError) -> [ChatMessage] {
    guard case .array(let list)? = json else {
      let found = json.map(\.typeName) ?? "nothing"
      throw ServingError(.invalidRequest, "messages: expected an array, found \(found).", parameter: "messages")
    }
    guard (1...maximumMessages).contains(list.count) else {
      throw ServingError(
        .invalidRequest, "messages: expected 1 to \(maximumMessages) messages, found \(list.count).",
        parameter: "messages")
    }
    var messages: [ChatMessage] = []
    for (index, element) in list.enumerated() {
      do throws(TopicError) {
        messages.append(try ChatMessage(json: element))
      } catch {
        let place = "messages[\(index)]" + (error.path.isEmpty ? "" : ".\(error.path)")
        throw ServingError(
          .invalidRequest, "\(place): expected \(error.expected), found \(error.found).", parameter: place)
      }
    }
    return messages
  }

  private static func optional<Value>(
    _ object: JSONObject, _ name: String, _ expected: String, _ read: (JSON) -> Value?
  ) throws(ServingError) -> Value? {
    guard let json = object[name], !json.isNull else { return nil }
    guard let value = read(json) else {
      throw ServingError(.invalidRequest, "\(name): expected \(expected), found \(json.typeName).", parameter: name)
    }
    return value
  }

  /// What a client may call: definitions as ours, and what no function of a model can be (other kinds of tools, schemas beyond the
  /// subset), by name.
  struct Tools: Sendable {
    let functions: [FunctionDefinition]
    let others: [String]

    var names: [String] { functions.map(\.name) + others }
  }

  private static func tools(_ json: JSON?) throws(ServingError) -> Tools? {
    guard let json, !json.isNull, json != [] else { return nil }
    guard case .array(let list) = json else {
      throw ServingError(.invalidRequest, "tools: expected an array, found \(json.typeName).", parameter: "tools")
    }
    var (functions, others): ([FunctionDefinition], [String]) = ([], [])
    for (index, tool) in list.enumerated() {
      guard tool.objectValue != nil else {
        throw ServingError(
          .invalidRequest, "tools[\(index)]: expected an object, found \(tool.typeName).", parameter: "tools")
      }
      if let function = try? FunctionDefinition(json: tool) {
        functions.append(function)
      } else {
        others.append(tool["function"]?["name"]?.stringValue ?? tool["name"]?.stringValue ?? "tools[\(index)]")
      }
    }
    let tools = Tools(functions: functions, others: others)
    guard Set(tools.names).count == list.count else {
      throw ServingError(.invalidRequest, "tools: expected names that differ, found one twice.", parameter: "tools")
    }
    return tools
  }

  private static func choice(_ json: JSON?) throws(ServingError) -> [String]? {
    if [nil, .null, "auto", "required"].contains(json) { return nil }
    if json == "none" { return [] }
    var named: [JSON?] = []
    switch json?["type"] {
    case "function": named = [json]
    case "allowed_tools": named = json?["allowed_tools"]?["tools"]?.arrayValue ?? []
    default: break
    }
    let names = named.compactMap { $0?["function"]?["name"]?.stringValue }
    guard !names.isEmpty, names.count == named.count else {
      throw ServingError(
        .invalidRequest,
        "tool_choice: expected auto, required, none, or functions by name.", parameter: "tool_choice")
    }
    return names
  }

  private static func demandsCall(_ json: JSON?) -> Bool {
    json == "required" || json?["type"] == "function" || json?["allowed_tools"]?["mode"] == "required"
  }

  /// What of a model's functions a request leaves to its answer.
  struct Scope: Sendable, Hashable {
    /// The only functions that the answer may call; empty: there is none, and so no call; nil: any of the model's.
    var functions: Set<String>?
    /// Whether an answer may stand for what the client wants: not where its conversation does not end with a person's turn, nor
    /// where it may call tools that the model never learned, which might be the right ones.
    var isWithinTheModel = true
    /// Whether the model might call a function that the request leaves out: what it says among the others then means little, however
    /// sure it is among them. A request that demands a call of one function has decided that itself.
    var leavesOut = false
  }

  /// Checks what the client expects against the model that will answer.
  ///
  /// A tool is the model's where it has its name and a schema that says the same; whether unknown arguments are refused is no
  /// difference, since the model writes none.
  ///
  /// - Throws: `model_not_found`; `invalid_request` where `tool_choice` names what is not there.
  func scope(in served: ServedModel) throws(ServingError) -> Scope {
    if let model, model != served.name {
      throw ServingError(
        .modelNotFound, "The model \(model.prefix(100).debugDescription) is not served here; ask for \(served.name).",
        parameter: "model")
    }
    let own = served.model.functions
    let all = Set(own.names)
    let sent = tools.map { Set($0.names) } ?? all
    if let stranger = choice?.first(where: { !sent.contains($0) }) {
      throw ServingError(
        .invalidRequest,
        "tool_choice: \(stranger.prefix(100).debugDescription) is not one of the "
          + (tools == nil ? "functions that \(served.name) was trained on." : "request's tools."),
        parameter: "tool_choice")
    }
    let learned = tools?.functions.filter { tool in
      own[tool.name].map { $0.parametersJSON == tool.parametersJSON || Self.saysTheSame($0, tool) } ?? false
    }
    let wanted = choice.map(Set.init) ?? sent
    let allowed = wanted.intersection(learned?.map(\.name) ?? own.names)
    return Scope(
      functions: allowed == all ? nil : allowed,
      isWithinTheModel: endsWithUser && allowed == wanted,
      leavesOut: allowed != all && !allowed.isEmpty && !(demandsCall && wanted.count == 1))
  }

  private static func saysTheSame(_ one: FunctionDefinition, _ other: FunctionDefinition) -> Bool {
    closed(one.parameters.constraints) == closed(other.parameters.constraints)
  }

  /// A schema's objects without the word on whether unknown keys are refused.
  private static func closed(_ schema: JSON) -> [UInt8] {
    func without(_ json: JSON) -> JSON {
      switch json {
      case .object(let object):
        var result = JSONObject()
        for (key, value) in object where key != "additionalProperties" || value.boolValue == nil {
          result[key] = without(value)
        }
        return .object(result)
      case .array(let list): return .array(list.map(without))
      default: return json
      }
    }
    return without(schema).canonical
  }
}
