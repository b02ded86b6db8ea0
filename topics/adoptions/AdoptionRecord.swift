/// What a subscriber did with a release: runs it since when (and ran it until when), or refused it and why.
public struct AdoptionRecord: TopicValue, Hashable {
  /// What the subscriber did.
  public enum Status: String, Sendable, CaseIterable {
    /// It runs the release.
    case adopted
    /// It runs what it ran before.
    case refused
  }

  /// The `schema` header of the records.
  public static let schemaName = "adoptions/1.0"

  /// The topic's settings.
  public static let topic = TopicSpecification(
    name: "adoptions", key: "subscriber/model", cleanup: [.compact, .delete], retentionMilliseconds: 90 * 86_400_000,
    schemaName: schemaName, schema: PackageResources.adoptions_schema_json)

  /// The subscriber's name.
  public var subscriber: String
  /// The model's name.
  public var model: String
  /// What it did.
  public var status: Status
  /// The deployment's epoch.
  public var epoch: Int64
  /// The release's version.
  public var version: Int
  /// The digest of its manifest.
  public var manifestDigest: Digest
  /// Since when, RFC 3339.
  public var since: String
  /// When the subscriber said that it ends, RFC 3339; nil while it has not.
  public var until: String?
  /// The bounded code of a refusal.
  public var code: String?
  /// Why it refused, as a sentence; required with a refusal.
  public var reason: String?
  /// The subscriber's software, such as "retort/1.0.0".
  public var agent: String?
  /// Fields that this version does not know.
  public var extra: JSONObject

  /// An adoption, or a refusal with its reason.
  public init(
    subscriber: String, model: String, status: Status, epoch: Int64, version: Int, manifestDigest: Digest,
    since: String, until: String? = nil, code: String? = nil, reason: String? = nil, agent: String? = nil,
    extra: JSONObject = [:]
  ) {
    self.subscriber = subscriber
    self.model = model
    self.status = status
    self.epoch = epoch
    self.version = version
    self.manifestDigest = manifestDigest
    self.since = since
    self.until = until
    self.code = code
    self.reason = reason
    self.agent = agent
    self.extra = extra
  }

  /// The record's key.
  public var key: String { "\(subscriber)/\(model)" }

  /// Reads an adoption.
  ///
  /// - Throws: `TopicError` when a field is wrong, or a refusal has no reason.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "adoptions")
    subscriber = try fields.string("subscriber", 1...256)
    model = try fields.string("model", 1...128)
    status = try fields.word("status", as: Status.self)
    epoch = try fields.integer("epoch", 1...(1 << 53))
    version = try fields.int("version", 1...(1 << 53))
    manifestDigest = try fields.digest("manifest_digest")
    since = try fields.time("since")
    until = try fields.optionalTime("until")
    code = try fields.optionalString("code", 1...128)
    reason = try fields.optionalString("reason", 1...4_096)
    if status == .refused, reason == nil {
      throw TopicError(.missing, in: "adoptions", at: "reason", expected: "why it refused", found: "nothing")
    }
    agent = try fields.optionalString("agent", 1...256)
    extra = fields.rest
  }

  /// The record's value.
  public var json: JSON {
    var object: JSONObject = [
      "subscriber": .string(subscriber), "model": .string(model), "status": .string(status.rawValue),
      "epoch": .integer(epoch), "version": .integer(Int64(version)), "manifest_digest": .string(manifestDigest.hex),
      "since": .string(since),
    ]
    object["until"] = until.map { .string($0) }
    object["code"] = code.map { .string($0) }
    object["reason"] = reason.map { .string($0) }
    object["agent"] = agent.map { .string($0) }
    object.merge(extra)
    return .object(object)
  }
}
