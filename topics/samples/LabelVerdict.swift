/// What one verifier said of a label.
public struct LabelVerdict: Sendable, Hashable {
  /// The verifier: "schema", "grounded", or a configured name. 1 to 128 bytes.
  public var name: String
  /// Whether it accepted the label.
  public var passed: Bool
  /// Why, at most 4,096 bytes.
  public var detail: String?
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// A verdict.
  public init(name: String, passed: Bool, detail: String? = nil) {
    self.name = name
    self.passed = passed
    self.detail = detail
  }

  /// Reads `{"name", "passed", "detail"}`.
  ///
  /// - Throws: `TopicError` when a field is missing or wrong.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "verdict")
    name = try fields.string("name", 1...128)
    passed = try fields.bool("passed")
    detail = try fields.optionalString("detail", 0...4_096)
    extra = fields.rest
  }

  /// The verdict as `{"name", "passed", "detail"}`.
  public var json: JSON {
    var object: JSONObject = ["name": .string(name), "passed": .bool(passed)]
    object["detail"] = detail.map { .string($0) }
    object.merge(extra)
    return .object(object)
  }
}
