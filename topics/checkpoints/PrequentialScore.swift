/// How well a student predicted samples of the uniform share before it learned from them.
public struct PrequentialScore: Sendable, Hashable {
  /// How many samples were predicted.
  public var n: Int
  /// The share that was exactly right, 0 to 1.
  public var exactMatch: Double
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// A score.
  public init(n: Int, exactMatch: Double) {
    self.n = n
    self.exactMatch = exactMatch
  }

  /// Reads `{"n", "exact_match"}`.
  ///
  /// - Throws: `TopicError` when a field is missing or out of range.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "prequential")
    n = try fields.int("n")
    exactMatch = try fields.number("exact_match", 0...1)
    extra = fields.rest
  }

  /// The score as `{"n", "exact_match"}`.
  public var json: JSON {
    let known: JSONObject = ["n": .integer(Int64(n)), "exact_match": .number(exactMatch)]
    return .object(known.merging(extra))
  }
}
