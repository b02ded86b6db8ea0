/// What the gate decided about a release, and why.
public struct ReleaseVerdict: Sendable, Hashable {
  /// The model's name.
  public var model: String
  /// The release's number.
  public var version: Int
  /// The digest of its manifest.
  public var manifestDigest: Digest
  /// Whether it may be deployed.
  public var promoted: Bool
  /// Why, as clear sentences; at least one.
  public var reasons: [String]
  /// What was measured.
  public var evidence: [Evidence]
  /// When, RFC 3339.
  public var time: String
  /// Fields that this version does not know.
  public var extra: JSONObject

  /// A verdict.
  public init(
    model: String, version: Int, manifestDigest: Digest, promoted: Bool, reasons: [String], evidence: [Evidence],
    time: String, extra: JSONObject = [:]
  ) {
    self.model = model
    self.version = version
    self.manifestDigest = manifestDigest
    self.promoted = promoted
    self.reasons = reasons
    self.evidence = evidence
    self.time = time
    self.extra = extra
  }

  /// Reads a verdict.
  ///
  /// - Throws: `TopicError` when a field is missing or wrong.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "releases")
    let kind = try fields.string("kind", 1...32)
    guard kind == "verdict" else { throw fields.invalid("kind", "\"verdict\"", "\"\(kind)\"") }
    model = try fields.string("model", 1...128)
    version = try fields.int("version", 1...(1 << 53))
    manifestDigest = try fields.digest("manifest_digest")
    promoted = try fields.bool("promoted")
    reasons = try fields.optionalStrings("reasons", 1...64, each: 1...4_096) ?? []
    guard !reasons.isEmpty else {
      throw TopicError(.missing, in: "releases", at: "reasons", expected: "at least one reason", found: "nothing")
    }
    evidence = try fields.array("evidence", 0...1_000) { (json) throws(TopicError) -> Evidence in
      try Evidence(json: json)
    }
    time = try fields.time("time")
    extra = fields.rest
  }

  /// The verdict as JSON.
  public var json: JSON {
    var object: JSONObject = [
      "kind": "verdict", "model": .string(model), "version": .integer(Int64(version)),
      "manifest_digest": .string(manifestDigest.hex), "promoted": .bool(promoted),
      "reasons": .array(reasons.map { .string($0) }), "evidence": .array(evidence.map(\.json)), "time": .string(time),
    ]
    object.merge(extra)
    return .object(object)
  }
}
