public import MessageLog
public import Topics

/// How topic values travel in log records: JSON, with the headers that say which schema.
public enum RecordCoding {
  /// The headers of a value of a topic; derived records also name their source and carry its trace context.
  ///
  /// - Parameter traceparent: the trace context where the source's headers have none.
  public static func headers(
    of topic: TopicSpecification, derivedFrom source: Record? = nil, traceparent: String? = nil
  ) -> [Header] {
    RecordHeaders.of(
      topic, traceparent: source.flatMap { RequestForm.traceparent(of: $0) } ?? traceparent,
      source: source.map { RecordCoordinates(topic: $0.topic, partition: $0.partition, offset: $0.offset) }
    ).map { Header($0.name, $0.text) }
  }

  /// A record to append.
  public static func record<Value: TopicValue>(
    _ value: Value, topic: String, key: String, partition: Int? = nil, derivedFrom source: Record? = nil,
    traceparent: String? = nil
  ) -> NewRecord {
    NewRecord(
      topic: topic, partition: partition, key: Array(key.utf8), value: value.json.bytes,
      headers: headers(of: Value.topic, derivedFrom: source, traceparent: traceparent))
  }

  /// A record to append whose value any reader will take: what people's settings and options have become part of.
  ///
  /// - Throws: ``ClientError`` with `invalid_record`.
  public static func checked<Value: TopicValue>(
    _ value: Value, topic: String, key: String
  ) throws(ClientError) -> NewRecord {
    do {
      _ = try Value(json: value.json)
    } catch {
      throw ClientError(
        .invalidRecord, "a record for \(topic), field \(error.path)", expected: error.expected, found: error.found,
        advice: "correct the setting or option that it comes from; nothing was written")
    }
    return record(value, topic: topic, key: key)
  }

  /// The value of a record.
  ///
  /// - Throws: ``ClientError`` with `unknown_schema` (a major version that this build does not read) or `invalid_record`.
  public static func value<Value: TopicValue>(
    of record: Record, as type: Value.Type = Value.self
  ) throws(ClientError) -> Value {
    let json = try json(of: record, as: Value.topic)
    do {
      return try Value(json: json)
    } catch {
      throw invalid(record, at: error.path, expected: error.expected, found: error.found)
    }
  }

  /// The JSON of a record's value, after checking that its schema header, if it has one, is one this build reads. A request
  /// may come in any form that other programs write: framed, or as a CloudEvent in either mode.
  ///
  /// - Throws: ``ClientError`` with `unknown_schema` or `invalid_record`.
  public static func json(of record: Record, as topic: TopicSpecification) throws(ClientError) -> JSON {
    if let header = record.headers.first(where: { $0.name == RecordHeaders.schema }) {
      let found = String(decoding: header.value.prefix(100), as: UTF8.self)
      guard topic.reads(schema: found) else {
        throw ClientError(
          .unknownSchema, place(of: record), expected: "the schema \(topic.schemaName)", found: found,
          advice: "use a build that knows it")
      }
    }
    guard let value = record.value else {
      throw invalid(record, expected: "a value", found: "a tombstone")
    }
    if topic.name == RequestRecord.topic.name { return try RequestForm.json(of: record, value: value) }
    do {
      return try JSON.parse(value, maximumBytes: topic.maximumMessageBytes)
    } catch {
      throw invalid(record, expected: "JSON", found: "\(error.detail) at byte \(error.offset)")
    }
  }

  static func invalid(_ record: Record, at field: String = "", expected: String, found: String) -> ClientError {
    ClientError(
      .invalidRecord, place(of: record) + (field.isEmpty ? "" : ", field \(field)"), expected: expected, found: found,
      advice: "find out who writes such records")
  }

  /// Topic, partition and offset, as errors name them.
  public static func place(of record: Record) -> String {
    "\(record.topic)/\(record.partition) at offset \(record.offset)"
  }
}
