/// From a student's own confidence to the probability that its answer is right: a logistic curve over the log odds.
///
/// Reference: Platt 1999, "Probabilistic outputs for support vector machines", applied to the log odds of the answer's
/// probability (with the intercept 0 this is temperature scaling, Guo et al. 2017, arXiv 1706.04599).
public struct ConfidenceCalibration: Sendable, Hashable {
  /// The factor of the log odds, the inverse of the temperature; not negative.
  public var slope: Double
  /// What is added to them.
  public var intercept: Double
  /// On how many held-out answers it was found.
  public var n: Int
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// A curve.
  public init(slope: Double, intercept: Double, n: Int) {
    self.slope = slope
    self.intercept = intercept
    self.n = n
  }

  /// Reads `{"slope", "intercept", "n"}`.
  ///
  /// - Throws: `TopicError` when a field is missing or out of range.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "confidence_calibration")
    slope = try fields.number("slope", 0...1e3)
    intercept = try fields.number("intercept", -1e3...1e3)
    n = try fields.int("n")
    extra = fields.rest
  }

  /// The curve as `{"slope", "intercept", "n"}`.
  public var json: JSON {
    let known: JSONObject = ["slope": .number(slope), "intercept": .number(intercept), "n": .integer(Int64(n))]
    return .object(known.merging(extra))
  }
}
