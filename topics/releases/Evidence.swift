/// One measurement: of what, on how many, and how sure.
public struct Evidence: Sendable, Hashable {
  /// Who was measured.
  public enum Subject: String, Sendable, CaseIterable {
    /// The file that is to be released.
    case candidate
    /// The unpruned, unquantized model that it was made from.
    case parent
    /// The release that is deployed.
    case incumbent
    /// The best release there ever was.
    case best
  }

  /// What was measured: "exact_match", "function_accuracy", "argument_f1", "invalid", "exact_match_difference", …
  public var metric: String
  /// The value found.
  public var value: Double
  /// On how many gate samples.
  public var n: Int
  /// The lower end of the 95 % interval, where one was computed.
  public var low: Double?
  /// The upper end.
  public var high: Double?
  /// Who was measured; of a difference, whom the candidate was compared with.
  public var subject: Subject
  /// The function whose gate samples alone were compared, or "rare functions"; nil: all of them.
  public var function: String?
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// A measurement.
  public init(
    metric: String, value: Double, n: Int, low: Double? = nil, high: Double? = nil, subject: Subject,
    function: String? = nil
  ) {
    self.metric = metric
    self.value = value
    self.n = n
    self.low = low
    self.high = high
    self.subject = subject
    self.function = function
  }

  /// Reads the measurement.
  ///
  /// - Throws: `TopicError` when a field is missing, or the interval ends before it starts.
  public init(json: JSON) throws(TopicError) {
    let range = -1e15...1e15
    var fields = try Fields(json, in: "evidence")
    metric = try fields.string("metric", 1...64)
    value = try fields.number("value", range)
    n = try fields.int("n")
    low = try fields.optionalNumber("low", range)
    high = try fields.optionalNumber("high", range)
    if let low, let high, low > high { throw fields.invalid("high", "a number from \(low)", "\(high)") }
    subject = try fields.word("subject", as: Subject.self)
    function = try fields.optionalString("function")
    extra = fields.rest
  }

  /// The measurement as JSON.
  public var json: JSON {
    var object: JSONObject = ["metric": .string(metric), "value": .number(value), "n": .integer(Int64(n))]
    object["low"] = low.map { .number($0) }
    object["high"] = high.map { .number($0) }
    object["subject"] = .string(subject.rawValue)
    object["function"] = function.map { .string($0) }
    object.merge(extra)
    return .object(object)
  }
}
