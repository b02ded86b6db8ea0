/// What subscribers should run: the newest one of a model counts, and its epoch only grows.
public struct DeploymentRecord: TopicValue, Hashable {
  /// Why the deployment changed.
  public enum Action: String, Sendable, CaseIterable {
    /// A new release passed the gate, or was promoted by hand.
    case promote
    /// An older release is to run again.
    case rollback
  }

  /// The `schema` header of the records.
  public static let schemaName = "models/1.0"

  /// The topic's settings.
  public static let topic = TopicSpecification(
    name: "models", key: "model name", cleanup: [.compact], schemaName: schemaName,
    schema: PackageResources.models_schema_json)

  /// The model's name, which is the record's key.
  public var model: String
  /// The deployment's number, from 1; only grows, also when rolling back.
  public var epoch: Int64
  /// Why it changed.
  public var action: Action
  /// The digest of the manifest.
  public var manifestDigest: Digest
  /// The release to run, signed by itself.
  public var manifest: Manifest
  /// Why, as a sentence.
  public var reason: String
  /// When, RFC 3339.
  public var time: String
  /// The signature beside the body.
  public var signature: Signature?
  /// Fields that this version does not know; they are part of the signed body.
  public var extra: JSONObject

  /// A deployment without signature.
  public init(
    epoch: Int64, action: Action, manifest: Manifest, reason: String, time: String, extra: JSONObject = [:]
  ) {
    model = manifest.model
    self.epoch = epoch
    self.action = action
    manifestDigest = manifest.digest
    self.manifest = manifest
    self.reason = reason
    self.time = time
    signature = nil
    self.extra = extra
  }

  /// What is signed: the canonical JSON (RFC 8785) of the body without `signature`.
  public var signingBytes: [UInt8] { body.canonical }

  /// Reads a deployment and checks that it is about the manifest that it holds.
  ///
  /// - Throws: `TopicError` when a field is wrong, or name or digest are not the manifest's.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "models")
    model = try fields.string("model", 1...128)
    epoch = try fields.integer("epoch", 1...(1 << 53))
    action = try fields.word("action", as: Action.self)
    manifestDigest = try fields.digest("manifest_digest")
    manifest = try fields.nested("manifest") { (json) throws(TopicError) -> Manifest in try Manifest(json: json) }
    reason = try fields.string("reason", 1...4_096)
    time = try fields.time("time")
    signature = try fields.optionalNested("signature") { (json) throws(TopicError) -> Signature in
      try Signature(json: json)
    }
    extra = fields.rest
    guard ExactString.equal(model, manifest.model) else {
      throw fields.invalid("model", "the manifest's model \"\(manifest.model)\"", "\"\(model)\"")
    }
    let digest = manifest.digest
    guard digest == manifestDigest else {
      throw TopicError(.digest, in: "models", at: "manifest_digest", expected: digest.hex, found: manifestDigest.hex)
    }
  }

  /// The record's value.
  public var json: JSON {
    guard case .object(var object) = body, let signature else { return body }
    object["signature"] = signature.json
    return .object(object)
  }

  private var body: JSON {
    var object: JSONObject = [
      "model": .string(model), "epoch": .integer(epoch), "action": .string(action.rawValue),
      "manifest_digest": .string(manifestDigest.hex), "manifest": manifest.json, "reason": .string(reason),
      "time": .string(time),
    ]
    object.merge(extra)
    return .object(object)
  }
}
