/// How many of the teacher's answers to one request agreed.
public struct Votes: Sendable, Hashable {
  /// How many gave the accepted call, 1 to `of`.
  public var agree: Int
  /// How many were asked for, 1 to 1,024.
  public var of: Int
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// A count of votes.
  public init(agree: Int, of: Int) {
    self.agree = agree
    self.of = of
  }

  /// Reads `{"agree", "of"}`.
  ///
  /// - Throws: `TopicError` when a field is missing or out of range.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "votes")
    of = try fields.int("of", 1...1_024)
    agree = try fields.int("agree", 1...Int64(of))
    extra = fields.rest
  }

  /// The count as `{"agree", "of"}`.
  public var json: JSON {
    let known: JSONObject = ["agree": .integer(Int64(agree)), "of": .integer(Int64(of))]
    return .object(known.merging(extra))
  }
}
