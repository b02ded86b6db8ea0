/// How many requests of one day the teacher was asked about, taken from one partition's part of the day's budget.
public struct AskedCount: Sendable, Hashable {
  /// The day of the requests (UTC), such as `2026-03-02`.
  public var day: String
  /// How many.
  public var count: Int
  /// The partition of `requests`, from 0, from whose part they were taken: without a budget, the one that they are in. `nil`
  /// in accounts that do not say.
  public var partition: Int?
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// A count.
  public init(day: String, count: Int, partition: Int? = nil) {
    self.day = day
    self.count = count
    self.partition = partition
  }

  /// The day (UTC) of a time in milliseconds since 1970.
  public static func day(ofMilliseconds milliseconds: Int64) -> String {
    String(RFC3339.text(milliseconds: milliseconds).prefix(10))
  }

  /// Reads `{"day", "count", "partition"?}`.
  ///
  /// - Throws: `TopicError` when a field is missing or wrong.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "asked")
    day = try fields.string("day", 10...10)
    count = try fields.int("count", 0...1_000_000)
    partition = try fields.optionalInt("partition", 0...Int64(Int32.max))
    extra = fields.rest
  }

  /// The count as `{"day", "count", "partition"?}`.
  public var json: JSON {
    var known: JSONObject = ["day": .string(day), "count": .integer(Int64(count))]
    known["partition"] = partition.map { .integer(Int64($0)) }
    return .object(known.merging(extra))
  }
}
