/// What the teacher's answers to one request took.
public struct TokenUsage: Sendable, Hashable {
  /// Tokens read.
  public var promptTokens: Int
  /// Tokens written.
  public var completionTokens: Int
  /// Calls to the endpoint; 0 where the answer came from the cache or with the request.
  public var calls: Int
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// A usage.
  public init(promptTokens: Int, completionTokens: Int, calls: Int) {
    self.promptTokens = promptTokens
    self.completionTokens = completionTokens
    self.calls = calls
  }

  /// Reads `{"prompt_tokens", "completion_tokens", "calls"}`.
  ///
  /// - Throws: `TopicError` when a field is missing or negative.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "usage")
    promptTokens = try fields.int("prompt_tokens")
    completionTokens = try fields.int("completion_tokens")
    calls = try fields.int("calls")
    extra = fields.rest
  }

  /// The usage as `{"prompt_tokens", "completion_tokens", "calls"}`.
  public var json: JSON {
    let known: JSONObject = [
      "prompt_tokens": .integer(Int64(promptTokens)), "completion_tokens": .integer(Int64(completionTokens)),
      "calls": .integer(Int64(calls)),
    ]
    return .object(known.merging(extra))
  }
}
