/// The value of a topic's records.
public protocol TopicValue: Sendable {
  /// The topic whose value this is.
  static var topic: TopicSpecification { get }
  /// The `schema` header: name and major.minor, such as "requests/1.0".
  static var schemaName: String { get }
  /// Reads the value.
  ///
  /// - Throws: `TopicError` that says which field is wrong.
  init(json: JSON) throws(TopicError)
  /// The value with all its fields, unknown ones included.
  var json: JSON { get }
  /// Fields that this version does not know, kept for the next reader.
  var extra: JSONObject { get }
}

extension TopicValue {
  /// Reads the value from a record's bytes.
  ///
  /// - Throws: `TopicError`: `invalid_json`, or what is wrong with a field.
  public init(bytes: some Sequence<UInt8>) throws(TopicError) {
    let json: JSON
    do throws(JSONError) {
      json = try JSON.parse(bytes)
    } catch {
      throw TopicError(.json, in: Self.topic.name, expected: "one JSON value", found: error.description)
    }
    self = try Self(json: json)
  }
}
