/// A signature over the canonical JSON of a body.
public struct Signature: Sendable, Hashable {
  /// The only algorithm: Ed25519 (RFC 8032).
  public static let algorithm = "ed25519"

  /// Which key signed.
  public var keyID: String
  /// The 64 bytes.
  public var value: [UInt8]
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// A signature.
  public init(keyID: String, value: [UInt8]) {
    self.keyID = keyID
    self.value = value
  }

  /// Reads `{"key_id", "algorithm", "value"}`, the value in base64.
  ///
  /// - Throws: `TopicError` when a field is missing, the algorithm another one, or the value not 64 bytes.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "signature")
    keyID = try fields.string("key_id", 1...128)
    let algorithm = try fields.string("algorithm", 1...32)
    guard algorithm == Self.algorithm else {
      throw fields.invalid("algorithm", "\"\(Self.algorithm)\"", "\"\(algorithm)\"")
    }
    let text = try fields.string("value", 1...128)
    guard let bytes = Base64.decode(text), bytes.count == 64 else {
      throw fields.invalid("value", "64 bytes in base64", "\"\(text)\"")
    }
    value = bytes
    extra = fields.rest
  }

  /// The signature as `{"key_id", "algorithm", "value"}`.
  public var json: JSON {
    let known: JSONObject = [
      "key_id": .string(keyID), "algorithm": .string(Self.algorithm), "value": .string(Base64.encode(value)),
    ]
    return .object(known.merging(extra))
  }
}
