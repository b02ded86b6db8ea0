/// A line of the releases' history: a candidate's manifest, or the gate's verdict on it.
public struct ReleaseRecord: TopicValue, Hashable {
  /// What the line says.
  public enum Content: Sendable, Hashable {
    /// A candidate.
    case manifest(Manifest)
    /// What the gate decided about it.
    case verdict(ReleaseVerdict)
  }

  /// The `schema` header of the records.
  public static let schemaName = "releases/1.0"

  /// The topic's settings: a history that nothing is ever taken out of.
  public static let topic = TopicSpecification(
    name: "releases", key: "model name", cleanup: [.delete], schemaName: schemaName,
    schema: PackageResources.releases_schema_json)

  /// What the line says.
  public var content: Content
  /// Fields beside a manifest that this version does not know; a verdict keeps its own.
  public var extra: JSONObject

  /// A candidate's line.
  public init(manifest: Manifest) {
    content = .manifest(manifest)
    extra = [:]
  }

  /// A verdict's line.
  public init(verdict: ReleaseVerdict) {
    content = .verdict(verdict)
    extra = [:]
  }

  /// The manifest, when the line is one.
  public var manifest: Manifest? {
    if case .manifest(let manifest) = content { return manifest }
    return nil
  }

  /// The verdict, when the line is one.
  public var verdict: ReleaseVerdict? {
    if case .verdict(let verdict) = content { return verdict }
    return nil
  }

  /// The model's name, which is the record's key.
  public var model: String {
    switch content {
    case .manifest(let manifest): manifest.model
    case .verdict(let verdict): verdict.model
    }
  }

  /// Reads `{"kind": "manifest", "manifest"}` or `{"kind": "verdict", …}`.
  ///
  /// - Throws: `TopicError` when a field is missing or wrong.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "releases")
    switch try fields.string("kind", 1...32) {
    case "manifest":
      let manifest = try fields.nested("manifest") { (json) throws(TopicError) -> Manifest in
        try Manifest(json: json)
      }
      content = .manifest(manifest)
      extra = fields.rest
    case "verdict":
      content = .verdict(try ReleaseVerdict(json: json))
      extra = [:]
    case let kind: throw fields.invalid("kind", "\"manifest\" or \"verdict\"", "\"\(kind)\"")
    }
  }

  /// The record's value.
  public var json: JSON {
    switch content {
    case .manifest(let manifest):
      var object: JSONObject = ["kind": "manifest", "manifest": manifest.json]
      object.merge(extra)
      return .object(object)
    case .verdict(let verdict): return verdict.json
    }
  }
}
