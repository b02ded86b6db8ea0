/// One file of a release.
public struct ManifestFile: Sendable, Hashable {
  /// What a file is for.
  public enum Role: String, Sendable, CaseIterable {
    /// The model.
    case weights
    /// The grammar of its answers (GBNF).
    case grammar
    /// Requests and the calls that the model must answer them with.
    case probes
    /// A page about the model.
    case card
  }

  /// What it is for.
  public var role: Role
  /// Its format: "gguf", "gbnf", "jsonl", "markdown"; 1 to 32 bytes.
  public var format: String
  /// Its size.
  public var bytes: Int64
  /// The digest of its bytes.
  public var sha256: Digest
  /// Where it is: `log:<sha256>`, `file:…` or `https:…`.
  public var uri: String
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// A file.
  public init(role: Role, format: String, bytes: Int64, sha256: Digest, uri: String) {
    self.role = role
    self.format = format
    self.bytes = bytes
    self.sha256 = sha256
    self.uri = uri
  }

  /// Reads `{"role", "format", "bytes", "sha256", "uri"}`.
  ///
  /// - Throws: `TopicError` when a field is missing or wrong.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "file")
    role = try fields.word("role", as: Role.self)
    format = try fields.string("format", 1...32)
    bytes = try fields.integer("bytes", 0...(1 << 40))
    sha256 = try fields.digest("sha256")
    uri = try fields.string("uri", 1...4_096)
    extra = fields.rest
  }

  /// The file as JSON.
  public var json: JSON {
    let known: JSONObject = [
      "role": .string(role.rawValue), "format": .string(format), "bytes": .integer(bytes),
      "sha256": .string(sha256.hex),
      "uri": .string(uri),
    ]
    return .object(known.merging(extra))
  }
}
