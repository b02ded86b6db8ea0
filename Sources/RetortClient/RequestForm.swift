import MessageLog
import Topics

/// The forms in which other programs write requests, and how each becomes one JSON value.
///
/// - A Confluent schema registry's frame before JSON: a zero byte and a four-byte schema id. The id is not looked up.
/// - A CloudEvent in binary mode: attributes in `ce_…` headers, the value is the data, `content-type` says of which kind.
/// - A CloudEvent in structured mode: `application/cloudevents+json`, or any JSON with `specversion`.
///
/// Deliberately not read: batches of events (one record has one outcome), Avro and Protobuf.
///
/// Reference: CloudEvents 1.0.2, Kafka protocol binding; Confluent wire format.
enum RequestForm {
  /// The most attributes of an event, and the longest in bytes.
  private static let attributes = (count: 64, bytes: 4_096)

  /// The JSON of a request record in one of the forms that `RequestRecord` reads.
  ///
  /// - Throws: ``ClientError`` with `invalid_record`: what is wrong with frame, headers or bytes.
  static func json(of record: Record, value: [UInt8]) throws(ClientError) -> JSON {
    let (bytes, schemaID) = try unframed(value, record)
    let media = mediaType(record)
    let isEvent = media.hasPrefix("application/cloudevents")
    if isEvent, media != "application/cloudevents+json" {
      throw problem(record, "a CloudEvent as application/cloudevents+json, one a record", media.debugDescription)
    }
    if !isEvent, record.headers.contains(where: { $0.name == "ce_specversion" }) {
      return .object(try binaryEvent(record, bytes, media: media))
    }
    let json = try parse(bytes, record, schemaID: schemaID)
    if isEvent, json["specversion"] == nil {
      throw problem(record, "a CloudEvent with specversion, as content-type says", "none")
    }
    return json
  }

  /// The W3C trace context of a record's headers: `traceparent`, or a CloudEvent's `ce_traceparent`; `nil` where it is
  /// none of version 00's form, or all zero.
  static func traceparent(of record: Record) -> String? {
    record.headers.text(RecordHeaders.traceparent).flatMap { TraceContext.valid($0) }
      ?? record.headers.text("ce_traceparent").flatMap { TraceContext.valid($0) }
  }

  // MARK: - The frame

  private static func unframed(
    _ value: [UInt8], _ record: Record
  ) throws(ClientError) -> (bytes: ArraySlice<UInt8>, schemaID: UInt32?) {
    guard value.first == 0 else { return (value[...], nil) }
    guard value.count > 5 else {
      throw problem(record, "JSON after a zero byte and a four-byte schema id", "\(value.count) bytes")
    }
    return (value[5...], value[1..<5].reduce(0) { $0 << 8 | UInt32($1) })
  }

  private static func parse(
    _ bytes: ArraySlice<UInt8>, _ record: Record, schemaID: UInt32? = nil
  ) throws(ClientError) -> JSON {
    do {
      return try JSON.parse(bytes, maximumBytes: RequestRecord.topic.maximumMessageBytes)
    } catch {
      let frame = schemaID.map { ", after the frame of schema \($0)" } ?? ""
      throw problem(record, "JSON\(frame)", "\(error.detail) at byte \(error.offset)")
    }
  }

  // MARK: - CloudEvents

  private static func binaryEvent(
    _ record: Record, _ bytes: ArraySlice<UInt8>, media: String
  ) throws(ClientError) -> JSONObject {
    var event = JSONObject()
    for header in record.headers where header.name.hasPrefix("ce_") {
      let name = String(header.name.dropFirst(3))
      guard let text = header.text, text.utf8.count <= attributes.bytes else {
        throw problem(record, "a header \(short(header.name)) of at most \(attributes.bytes) bytes of UTF-8", "others")
      }
      guard !name.isEmpty, name.utf8.allSatisfy({ (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) }) else {
        throw problem(record, "a CloudEvent's attributes of a-z and 0-9", short(header.name))
      }
      guard name != "data", name != "data_base64", event.count < attributes.count, event[name] == nil else {
        throw problem(record, "each attribute once, at most \(attributes.count), the data in the value", "ce_\(name)")
      }
      event[name] = .string(text)
    }
    if !media.isEmpty { event["datacontenttype"] = .string(media) }
    if media.hasPrefix("text/") {
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw problem(record, "text in UTF-8, as content-type says", "other bytes")
      }
      event["data"] = .string(text)
    } else if media.isEmpty || media == "application/json" || media.hasSuffix("+json") {
      event["data"] = try parse(bytes, record)
    } else {
      throw problem(record, "data as application/json or text/plain", media.debugDescription)
    }
    return event
  }

  /// The media type of the value in lower case, without parameters; empty where no header says.
  private static func mediaType(_ record: Record) -> String {
    let wanted = RecordHeaders.contentType
    let header = record.headers.last {
      $0.name == wanted || ($0.name.utf8.count == wanted.utf8.count && $0.name.lowercased() == wanted)
    }
    guard let text = header?.text, text.utf8.count <= 256 else { return "" }
    if text == "application/json" { return text }
    let type = text.prefix { $0 != ";" }.lowercased()
    return String(type.drop { $0 == " " || $0 == "\t" }.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
  }

  private static func short(_ text: String) -> String { String(text.prefix(60)).debugDescription }

  private static func problem(_ record: Record, _ expected: String, _ found: String) -> ClientError {
    RecordCoding.invalid(record, expected: expected, found: String(found.prefix(120)))
  }
}
