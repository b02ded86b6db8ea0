/// Why the labelling policy chose a request, and what the newest released student made of it before the label was known.
public struct LabelChoice: Sendable, Hashable {
  /// The rule that chose.
  public enum Reason: String, Sendable, Hashable, CaseIterable {
    /// A trusted producer's recorded answer: nobody had to be asked.
    case recorded
    /// No release can be asked yet.
    case noStudent = "no_student"
    /// The student's calibrated confidence is below the limit.
    case uncertain
    /// Too many of its words stand in no labelled request.
    case new
    /// Drawn for the uniform share.
    case audit
  }

  /// What a released student answered.
  public struct StudentAnswer: Sendable, Hashable {
    /// The name of the release's model; nil in records of before it was noted.
    public var model: String?
    /// The release's version.
    public var version: Int
    /// Its calibrated confidence, 0 to 1.
    public var confidence: Double
    /// Whether its call is the label.
    public var exact: Bool

    /// An answer.
    public init(model: String? = nil, version: Int, confidence: Double, exact: Bool) {
      self.model = model
      self.version = version
      self.confidence = confidence
      self.exact = exact
    }
  }

  /// The rule that chose.
  public var reason: Reason
  /// What the student answered; nil where none was asked.
  public var student: StudentAnswer?
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// A choice.
  public init(reason: Reason, student: StudentAnswer? = nil) {
    self.reason = reason
    self.student = student
  }

  /// Reads `{"reason", "student"?: {"model"?, "version", "confidence", "exact"}}`.
  ///
  /// - Throws: `TopicError` when a field is missing or wrong.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "choice")
    reason = try fields.word("reason", as: Reason.self)
    student = try fields.optionalNested("student") { (json) throws(TopicError) -> StudentAnswer in
      var fields = try Fields(json, in: "student")
      return StudentAnswer(
        model: try fields.optionalString("model", 1...128), version: try fields.int("version", 1...(1 << 53)),
        confidence: try fields.number("confidence", 0...1),
        exact: try fields.bool("exact"))
    }
    extra = fields.rest
  }

  /// The choice as JSON.
  public var json: JSON {
    var object: JSONObject = ["reason": .string(reason.rawValue)]
    object["student"] = student.map {
      var answer: JSONObject = [
        "version": .integer(Int64($0.version)), "confidence": .number($0.confidence), "exact": .bool($0.exact),
      ]
      answer["model"] = $0.model.map { .string($0) }
      return .object(answer)
    }
    object.merge(extra)
    return .object(object)
  }
}
