/// How long one answer takes on one thread, measured on the shipped file.
public struct Latency: Sendable, Hashable {
  /// The median, in milliseconds.
  public var p50: Double
  /// The 99th percentile, in milliseconds.
  public var p99: Double
  /// On how many answers.
  public var n: Int
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// A latency.
  public init(p50: Double, p99: Double, n: Int) {
    self.p50 = p50
    self.p99 = p99
    self.n = n
  }

  /// Reads `{"p50_ms", "p99_ms", "n"}`.
  ///
  /// - Throws: `TopicError` when a field is missing or negative.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "latency")
    p50 = try fields.number("p50_ms", 0...1e9)
    p99 = try fields.number("p99_ms", 0...1e9)
    n = try fields.int("n")
    extra = fields.rest
  }

  /// The latency as `{"p50_ms", "p99_ms", "n"}`.
  public var json: JSON {
    let known: JSONObject = ["p50_ms": .number(p50), "p99_ms": .number(p99), "n": .integer(Int64(n))]
    return .object(known.merging(extra))
  }
}
