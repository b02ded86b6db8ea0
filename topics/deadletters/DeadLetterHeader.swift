/// A header of the record that became a dead letter.
public struct DeadLetterHeader: Sendable, Hashable {
  /// The name.
  public var name: String
  /// The bytes.
  public var value: [UInt8]
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// A header.
  public init(name: String, value: [UInt8]) {
    self.name = name
    self.value = value
  }

  /// Reads `{"name", "value"}`, the value in base64.
  ///
  /// - Throws: `TopicError` when a field is missing or not base64.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "header")
    name = try fields.string("name", 0...1_024)
    let text = try fields.string("value", 0...(2 << 20))
    guard let bytes = Base64.decode(text) else { throw fields.invalid("value", "base64", "\"\(text.prefix(40))\"") }
    value = bytes
    extra = fields.rest
  }

  /// The header as `{"name", "value"}`, the value in base64.
  public var json: JSON {
    let known: JSONObject = ["name": .string(name), "value": .string(Base64.encode(value))]
    return .object(known.merging(extra))
  }
}
