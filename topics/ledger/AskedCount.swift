/// How many requests of one day the teacher was asked about.
public struct AskedCount: Sendable, Hashable {
  /// The day of the requests (UTC), such as `2026-03-02`.
  public var day: String
  /// How many.
  public var count: Int
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// A count.
  public init(day: String, count: Int) {
    self.day = day
    self.count = count
  }

  /// The day (UTC) of a time in milliseconds since 1970.
  public static func day(ofMilliseconds milliseconds: Int64) -> String {
    String(RFC3339.text(milliseconds: milliseconds).prefix(10))
  }

  /// Reads `{"day", "count"}`.
  ///
  /// - Throws: `TopicError` when a field is missing or wrong.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "asked")
    day = try fields.string("day", 10...10)
    count = try fields.int("count", 0...1_000_000)
    extra = fields.rest
  }

  /// The count as `{"day", "count"}`.
  public var json: JSON {
    let known: JSONObject = ["day": .string(day), "count": .integer(Int64(count))]
    return .object(known.merging(extra))
  }
}
