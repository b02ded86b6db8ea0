/// A piece of a file in the log: raw bytes under the key `sha256/index`, the digest being that of the whole file.
///
/// The record's value is the bytes themselves; `json` is how tools show it.
public struct ArtifactChunk: TopicValue, Hashable {
  /// The `schema` header of the records.
  public static let schemaName = "artifacts/1.0"

  /// The most bytes of a chunk, below Kafka's default of 1 MB for a message.
  public static let maximumBytes = 900_000

  /// The most chunks of a file (900 GB).
  public static let maximumCount = 1_000_000

  /// The topic's settings.
  public static let topic = TopicSpecification(
    name: "artifacts", key: "sha256/index", cleanup: [.compact], maximumMessageBytes: 1_000_000,
    contentType: "application/octet-stream", schemaName: schemaName, schema: PackageResources.artifacts_schema_json)

  /// The digest of the whole file.
  public var digest: Digest
  /// Which piece, from 0.
  public var index: Int
  /// The piece's bytes, 1 to 900,000.
  public var bytes: [UInt8]
  /// Fields of the JSON view that this version does not know; the binary form has none.
  public var extra: JSONObject

  /// A chunk.
  public init(digest: Digest, index: Int, bytes: [UInt8]) {
    self.digest = digest
    self.index = index
    self.bytes = bytes
    extra = [:]
  }

  /// Reads a record's key and value.
  ///
  /// - Throws: `TopicError` when the key is not `sha256/index`, or the value is empty or too large.
  public init(key: [UInt8], value: [UInt8]) throws(TopicError) {
    guard let place = Self.place(key: key) else {
      throw TopicError(
        .value, in: "artifacts", at: "key", expected: "sha256/index",
        found: String(decoding: key.prefix(80), as: UTF8.self))
    }
    guard (1...Self.maximumBytes).contains(value.count) else {
      throw TopicError(
        .tooLarge, in: "artifacts", at: "value", expected: "1 to \(Self.maximumBytes) bytes", found: "\(value.count)")
    }
    self.init(digest: place.digest, index: place.index, bytes: value)
  }

  /// The digest and index that a key names, or nil when it is none.
  public static func place(key: [UInt8]) -> (digest: Digest, index: Int)? {
    let text = String(decoding: key.prefix(80), as: UTF8.self)
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let digest = Digest(hex: String(parts[0])), let index = Int(parts[1]),
      (0..<maximumCount).contains(index), String(index) == parts[1]
    else { return nil }
    return (digest, index)
  }

  /// The record's key.
  public var key: String { "\(digest.hex)/\(index)" }

  /// Reads the JSON view `{"sha256", "index", "value"}`, the value in base64.
  ///
  /// - Throws: `TopicError` when a field is wrong.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "artifacts")
    digest = try fields.digest("sha256")
    index = try fields.int("index", 0...Int64(Self.maximumCount - 1))
    let text = try fields.string("value", 4...(Self.maximumBytes / 3 * 4))
    guard let bytes = Base64.decode(text) else { throw fields.invalid("value", "base64", "\"\(text.prefix(40))\"") }
    self.bytes = bytes
    extra = fields.rest
  }

  /// The JSON view.
  public var json: JSON {
    var object: JSONObject = [
      "sha256": .string(digest.hex), "index": .integer(Int64(index)), "value": .string(Base64.encode(bytes)),
    ]
    object.merge(extra)
    return .object(object)
  }
}
