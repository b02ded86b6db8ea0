import Inference
import Topics

/// The body of `POST /v1/chat/completions`, checked.
///
/// Reference: OpenAI API, "Create chat completion". Parameters that steer sampling are taken and have no effect: answers are greedy.
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
  let tools: FunctionSet?
  /// The only functions that the answer may call, by `tool_choice`; nil: any.
  let choice: [String]?

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
        .invalidRequest, "n: expected 1, found \(count); answers are greedy, so that more would be the same.",
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

  private static func tools(_ json: JSON?) throws(ServingError) -> FunctionSet? {
    guard let json, !json.isNull, json != [] else { return nil }
    do throws(TopicError) {
      return try FunctionSet(json: json)
    } catch {
      throw ServingError(.invalidRequest, "tools: \(error)", parameter: "tools")
    }
  }

  private static func choice(_ json: JSON?) throws(ServingError) -> [String]? {
    if [nil, .null, "auto", "required"].contains(json) { return nil }
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
        "tool_choice: expected auto, required, or functions by name; every answer is a call.", parameter: "tool_choice")
    }
    return names
  }

  /// Checks what the client expects against the model that will answer.
  ///
  /// - Returns: The only functions that the answer may call; nil: any of the model's.
  /// - Throws: `model_not_found`; `invalid_request` where a tool is not one of the model's, whose functions are in its weights.
  func check(against served: ServedModel) throws(ServingError) -> Set<String>? {
    if let model, model != served.name {
      throw ServingError(
        .modelNotFound, "The model \(model.prefix(100).debugDescription) is not served here; ask for \(served.name).",
        parameter: "model")
    }
    let all = Set(served.model.functions.functions.map(\.name))
    for tool in tools?.functions ?? [] {
      guard let own = served.model.functions[tool.name], own.parametersJSON == tool.parametersJSON else {
        throw ServingError(
          .invalidRequest,
          "tools: \(tool.name) is not one of the functions that \(served.name) was trained on; leave tools out, or send its own.",
          parameter: "tools")
      }
    }
    let known = tools.map { Set($0.functions.map(\.name)) } ?? all
    if let stranger = choice?.first(where: { !known.contains($0) }) {
      let place = tools == nil ? "the functions that \(served.name) was trained on" : "the request's tools"
      throw ServingError(
        .invalidRequest, "tool_choice: \(stranger.prefix(100).debugDescription) is not one of \(place).",
        parameter: "tool_choice")
    }
    let allowed = choice.map(Set.init) ?? known
    return allowed == all ? nil : allowed
  }
}
