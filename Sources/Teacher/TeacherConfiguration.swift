public import Topics

/// How to reach the teacher and how much it may do.
public struct TeacherConfiguration: Sendable {
  /// A base URL, with or without a version path: `https://host`, `https://host/v1`, or the whole
  /// `…/chat/completions`. Nil: there is no teacher, only recorded answers are labels.
  public var endpoint: String?
  /// The model's name, as the endpoint knows it.
  public var model: String
  /// Sent as a bearer token; masked in every message.
  public var apiKey: String?
  /// Who the samples say produced their label. Default: the model's name.
  public var producer: String?
  /// Sampling temperature, 0…2. Default 0.
  public var temperature = 0.0
  /// Answers of the teacher per exchange, 1…64. Default 8.
  public var maximumTurns = 8
  /// Time for one HTTP call, answer included. Default 60 s.
  public var callTimeout = Duration.seconds(60)
  /// Time for one exchange, with its lookups but without pauses and back-off; a call that begins within it may take a
  /// call's time. Default 180 s.
  public var totalTimeout = Duration.seconds(180)
  /// Requests in flight at the endpoint, 1…1,024. Default 8.
  public var maximumConcurrentRequests = 8
  /// Back-off.
  public var retry = RetryPolicy()
  /// When to stop trying at all.
  public var breaker = BreakerPolicy()
  /// What an hour may cost. Nil: unlimited.
  public var budget: BudgetPolicy?
  /// What tokens cost, for the budget and the samples' cost.
  public var prices = Prices()
  /// A SQLite file for successful answers, made when missing. Nil: no cache.
  public var cachePath: String?
  /// How long a stored answer stands for the teacher's, 0 and more; what the teacher says may change. Default one day.
  public var cacheLifetime: Duration = .seconds(86_400)
  /// Ask for this many log-probabilities a token, 0…20; 0, the default: for none.
  public var topLogprobs = 0
  /// The teacher's tokens, which log-probabilities are of; needed where they are asked for.
  public var vocabulary: TokenVocabulary?
  /// Whether `tool_choice` is `required`. Default true; false for endpoints that know only `auto`.
  public var requiresToolCall = true
  /// Seed of the first sample; sample `i` uses `seed + i`. Nil: no seed is sent. Default 0.
  public var seed: Int64? = 0
  /// Upper bound of an answer, sent as `max_tokens`. Nil: not sent.
  public var maximumAnswerTokens: Int?
  /// Further members of the request body, such as `reasoning_effort`; part of the cache's key.
  public var extraParameters: JSONObject = [:]
  /// The largest body accepted from the endpoint, in bytes, log-probabilities apart. Default 1 MB.
  public var maximumResponseBytes = 1 << 20
  /// The largest request, in bytes of its messages. Default 256 KB.
  public var maximumRequestBytes = 256 << 10

  /// Makes a configuration with the defaults stated at each property.
  public init(endpoint: String?, model: String = "", apiKey: String? = nil) {
    self.endpoint = endpoint
    self.model = model
    self.apiKey = apiKey
  }

  /// Checks every range.
  ///
  /// - Throws: `TeacherError` with `invalid_configuration`, naming the property.
  public func validate() throws(TeacherError) {
    try check("teacher.temperature", 0...2, temperature)
    try check("teacher.maximum_turns", 1...64, maximumTurns)
    try check("teacher.maximum_concurrent_requests", 1...1_024, maximumConcurrentRequests)
    try check("teacher.maximum_response_bytes", 1_024...(64 << 20), maximumResponseBytes)
    try check("teacher.maximum_request_bytes", 64...(64 << 20), maximumRequestBytes)
    try check("teacher.call_timeout", Duration.milliseconds(1)...Duration.seconds(86_400), callTimeout)
    try check("teacher.total_timeout", Duration.milliseconds(1)...Duration.seconds(86_400), totalTimeout)
    try check("teacher.logprobs", 0...TokenLogprobs.topLimit, topLogprobs)
    guard topLogprobs == 0 || vocabulary != nil else {
      throw TeacherError(
        .invalidConfiguration, subject: "teacher.tokenizer",
        expected: "the teacher's tokenizer.json beside teacher.logprobs", found: "nothing")
    }
    if let maximumAnswerTokens { try check("teacher.maximum_answer_tokens", 1...(1 << 24), maximumAnswerTokens) }
    try retry.validate()
    try breaker.validate()
    try budget?.validate()
    try prices.validate()
    guard budget?.moneyPerHour == nil || prices != Prices() else {
      throw TeacherError(
        .invalidConfiguration, subject: "teacher.money_per_hour",
        expected:
          "teacher.price_per_million_prompt_tokens or teacher.price_per_million_completion_tokens above 0 beside it",
        found: "no price, so that nothing costs money and the budget bounds nothing")
    }
    guard endpoint != nil || model.isEmpty else {
      throw TeacherError(
        .invalidConfiguration, subject: "teacher.endpoint", expected: "an address beside teacher.model",
        found: "nothing")
    }
    guard endpoint == nil || !model.isEmpty else {
      throw TeacherError(
        .invalidConfiguration, subject: "teacher.model", expected: "a model name beside teacher.endpoint",
        found: "nothing")
    }
    // A password in an address ends up in logs; the key has a place of its own.
    if let endpoint, let authority = endpoint.split(separator: "/", maxSplits: 2).dropFirst().first,
      authority.contains("@")
    {
      throw TeacherError(
        .invalidConfiguration, subject: "teacher.endpoint", expected: "an address without a user or a password",
        found: "one before an @; give the key in RETORT_TEACHER_API_KEY")
    }
    if let apiKey, apiKey.utf8.contains(where: { $0 < 0x21 || $0 > 0x7e }) || apiKey.isEmpty {
      throw TeacherError(
        .invalidConfiguration, subject: "teacher.api_key", expected: "visible ASCII without spaces",
        found: "another character (a line end from a file, perhaps)")
    }
    for key in ["model", "messages", "tools", "stream", "n"] where extraParameters[key] != nil {
      throw TeacherError(
        .invalidConfiguration, subject: "teacher.extra_parameters", expected: "no \(key)", found: key)
    }
  }

  /// The largest body with log-probabilities: about 100 bytes of JSON for each of the alternatives to up to 8,192 tokens.
  var largestResponse: Int { maximumResponseBytes + topLogprobs * 100 * 8_192 }

  /// Connections to one host, where at the worst the teacher, every HTTP lookup and the verifier live, each with as many
  /// requests in flight: a request that waits for a connection would use up its time.
  package func connections(for task: TaskDefinition) -> Int {
    var services = 1
    for lookup in task.lookups { if case .http = lookup.binding { services += 1 } }
    if case .http = task.verifier { services += 1 }
    return maximumConcurrentRequests * services
  }

  func check<T: Comparable>(_ subject: String, _ range: ClosedRange<T>, _ value: T) throws(TeacherError) {
    try TeacherConfiguration.require(subject, range, value)
  }

  static func require<T: Comparable>(_ subject: String, _ range: ClosedRange<T>, _ value: T) throws(TeacherError) {
    guard range.contains(value) else {
      throw TeacherError(
        .invalidConfiguration, subject: subject, expected: "a value in \(range)", found: "\(value)")
    }
  }
}
