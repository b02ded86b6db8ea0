import MessageLog
import RetortClient
import Testing
import Topics

/// Requests in the forms in which other programs write them.
@Suite("Forms of requests")
struct RequestFormTests {
  private static let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

  private func record(_ value: [UInt8]?, _ headers: [(String, String)] = []) -> Record {
    Record(
      topic: "retort.requests", partition: 0, offset: 7, timestamp: 0, key: Array("k".utf8), value: value,
      headers: headers.map { Header($0.0, $0.1) })
  }

  private func read(_ text: String, _ headers: [(String, String)] = []) throws -> RequestRecord {
    try RecordCoding.value(of: record(Array(text.utf8), headers))
  }

  private func refuses(
    _ value: [UInt8], _ headers: [Header], because reason: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    var record = record(value)
    record.headers = headers
    do {
      _ = try RecordCoding.value(of: record, as: RequestRecord.self)
      Issue.record("it was read", sourceLocation: sourceLocation)
    } catch {
      #expect(error.code == .invalidRecord, sourceLocation: sourceLocation)
      #expect(error.description.contains(reason), "\(error)", sourceLocation: sourceLocation)
      #expect(error.description.contains("retort.requests/0 at offset 7"), sourceLocation: sourceLocation)
      #expect(error.description.utf8.count < 1_000, sourceLocation: sourceLocation)
    }
  }

  private static let event = [
    ("ce_specversion", "1.0"), ("ce_id", "ev-1"), ("ce_source", "//edge/7"), ("ce_type", "com.example.request"),
  ]

  @Test("a CloudEvent in binary mode: attributes in headers, the data in the value")
  func binary() throws {
    let request = try read(
      #"{"text":"dim the hall"}"#,
      Self.event + [("ce_time", "2026-03-02T07:14:05Z"), ("ce_tenant", "a"), ("content-type", "application/json")])
    #expect(request.id == "ev-1")
    #expect(request.question == "dim the hall")
    #expect(request.time == "2026-03-02T07:14:05Z")
    #expect(request.metadata["cloudevent"]?["tenant"] == "a")
    let named = try read(#"{"id":"own","messages":[{"role":"user","content":"x"}]}"#, Self.event)
    #expect(named.id == "own", "the data's id is nearer to the request than the event's")
    let text = try read("dim the hall, please", Self.event + [("content-type", "text/plain; charset=utf-8")])
    #expect(text.question == "dim the hall, please")
    let log = try read(
      #"{"timestamp":1772435645,"request":{"messages":[{"role":"user","content":"rain?"}]},"response":null}"#,
      Self.event + [("content-type", "application/vnd.log+json")])
    #expect(log.question == "rain?")
  }

  @Test("a CloudEvent in structured mode, whatever the case and parameters of its content type")
  func structured() throws {
    let event = #"{"specversion":"1.0","id":"ev-2","source":"s","type":"t","data":{"text":"dim"}}"#
    for headers in [
      [], [("content-type", "application/cloudevents+json")],
      [("Content-Type", "Application/CloudEvents+JSON; charset=UTF-8")],
      // Content type decides the mode; stray attributes in headers do not.
      [("content-type", "application/cloudevents+json"), ("ce_specversion", "0.3")],
    ] {
      #expect(try read(event, headers).id == "ev-2")
    }
    let text = #"{"specversion":"1.0","id":"e","source":"s","type":"t","datacontenttype":"text/plain","data":"dim"}"#
    #expect(try read(text).question == "dim")
    let encoded =
      #"{"specversion":"1.0","id":"e","source":"s","type":"t","data_base64":"eyJ0ZXh0IjoiZGltIn0="}"#
    #expect(try read(encoded).question == "dim")
  }

  @Test("JSON in a schema registry's frame, of any of the forms")
  func framed() throws {
    for text in [
      #"{"id":"f","text":"dim"}"#,
      #"{"specversion":"1.0","id":"f","source":"s","type":"t","data":{"text":"dim"}}"#,
    ] {
      let request: RequestRecord = try RecordCoding.value(of: record([0, 0, 0, 0x30, 0x39] + Array(text.utf8)))
      #expect(request.id == "f")
    }
    var framed = record([0, 0, 0, 0, 1] + Array(#"{"text":"dim"}"#.utf8), Self.event)
    #expect(try RecordCoding.value(of: framed, as: RequestRecord.self).id == "ev-1")
    // The newer way, with the schema's id in a header, leaves the value as it is.
    framed = record(Array(#"{"id":"f","text":"dim"}"#.utf8))
    framed.headers = [Header("__value_schema_id", bytes: [1] + [UInt8](repeating: 9, count: 16))]
    #expect(try RecordCoding.value(of: framed, as: RequestRecord.self).id == "f")
  }

  @Test("hostile frames, headers and events are refused with one sentence each")
  func hostile() {
    let json = Array(#"{"text":"dim"}"#.utf8)
    let event = Self.event.map { Header($0.0, $0.1) }
    func without(_ name: String) -> [Header] { event.filter { $0.name != name } }
    refuses([0, 0, 0], [], because: "four-byte schema id")
    refuses([0, 0, 0, 0, 1], [], because: "four-byte schema id")
    refuses([0, 0, 0, 0x30, 0x39, 2, 8, 1], [], because: "after the frame of schema 12345")
    refuses([0, 0, 0, 0, 1, 0, 0, 0, 0, 1] + json, [], because: "after the frame of schema 1")
    refuses([1] + json, [], because: "offset 7")
    refuses([], event, because: "offset 7")
    refuses(json, without("ce_id"), because: "field id")
    refuses(json, without("ce_source"), because: "field source")
    refuses(json, without("ce_type"), because: "field type")
    refuses(json, without("ce_specversion") + [Header("ce_specversion", "0.3")], because: "version 1")
    refuses(json, without("ce_specversion") + [Header("ce_specversion", "2.0")], because: "version 1")
    refuses(json, event + [Header("ce_id", "other")], because: "each attribute once")
    refuses(json, event + [Header("ce_x", bytes: [0xFF, 0xFE])], because: "of UTF-8")
    refuses(json, event + [Header("ce_x", String(repeating: "a", count: 5_000))], because: "at most 4096 bytes")
    refuses(json, event + [Header("ce_", "x")], because: "a-z and 0-9")
    refuses(json, event + [Header("ce_Upper", "x")], because: "a-z and 0-9")
    refuses(json, event + [Header("ce_data", "x")], because: "the data in the value")
    refuses(json, event + (0..<200).map { Header("ce_a\($0)", "x") }, because: "at most 64")
    refuses(json, event + [Header("content-type", "application/avro")], because: "application/json or text/plain")
    refuses([0xFF], event + [Header("content-type", "text/plain")], because: "UTF-8")
    refuses(json, [Header("content-type", "application/cloudevents+json")], because: "specversion")
    refuses(json, [Header("content-type", "application/cloudevents-batch+json")], because: "one a record")
    refuses(Array("[]".utf8), event, because: "offset 7")
    refuses(
      Array(#"{"specversion":"1.0","id":"e","source":"s","type":"t","data":"x","data_base64":"eA=="}"#.utf8), [],
      because: "both")
    refuses(
      Array(#"{"specversion":"1.0","id":"e","source":"s","type":"t","data_base64":"e"}"#.utf8), [], because: "base64")
    refuses(
      Array(#"{"specversion":"1.0","id":"e","source":"s","type":"t","data_base64":"eA=="}"#.utf8), [], because: "JSON")
  }

  @Test("the trace context is taken from the header, the binary attribute, or the event; what is none is left out")
  func traces() throws {
    func carried(_ record: Record, _ fallback: String? = nil) -> String? {
      RecordCoding.headers(of: SampleRecord.topic, derivedFrom: record, traceparent: fallback).text("traceparent")
    }
    #expect(carried(record([], [("traceparent", Self.trace)])) == Self.trace)
    #expect(carried(record([], [("ce_traceparent", Self.trace)])) == Self.trace)
    #expect(carried(record([], [("traceparent", "nonsense"), ("ce_traceparent", Self.trace)])) == Self.trace)
    #expect(carried(record([]), Self.trace) == Self.trace)
    #expect(carried(record([], [("traceparent", String(repeating: "0", count: 100_000))])) == nil)
    let event = try read(
      #"{"specversion":"1.0","id":"e","source":"s","type":"t","traceparent":"\#(Self.trace)","data":{"text":"x"}}"#)
    #expect(event.traceparent == Self.trace)
    #expect(try read(#"{"text":"x"}"#, Self.event + [("ce_traceparent", Self.trace)]).traceparent == Self.trace)
    #expect(try read(#"{"id":"a","text":"x"}"#).traceparent == nil)
  }
}
