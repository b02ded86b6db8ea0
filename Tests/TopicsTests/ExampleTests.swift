import Testing
import Topics

@Suite("Type, schema and examples of each topic agree")
struct ExampleTests {
  private static func read(_ type: any TopicValue.Type, _ json: JSON) throws -> any TopicValue {
    try type.init(json: json)
  }

  @Test("Every topic has its value type, in one order")
  func everyTopic() {
    #expect(TopicSpecification.all.map(\.name) == valueTypes.map { $0.topic.name })
    #expect(Set(TopicSpecification.all.map(\.name)).count == 10)
    for type in valueTypes { #expect(type.topic.schemaName == type.schemaName) }
  }

  @Test("A valid example passes the schema, is read by the type, and comes back unchanged")
  func valid() throws {
    for type in valueTypes {
      let name = type.topic.name
      let examples = try Files.examples("topics/\(name)/examples/valid")
      #expect(examples.count >= 3)
      for example in examples {
        let place = "\(name)/\(example.name)"
        #expect(type.topic.schema.violations(of: example.json) == [], "\(place)")
        let written = try Self.read(type, example.json).json
        #expect(type.topic.schema.violations(of: written) == [], "\(place)")
        if example.name.hasPrefix("form-") {
          // Another form of the same thing: it is written in the plain form, which then is stable.
          #expect(try Self.read(type, written).json == written, "\(place)")
        } else {
          #expect(written == example.json, "\(place)")
        }
        let parsed = try JSON.parse(written.bytes)
        #expect(parsed == written, "\(place)")
      }
    }
  }

  @Test("An invalid example is refused by the type, and by the schema unless its name ends in .type")
  func invalid() throws {
    for type in valueTypes {
      let name = type.topic.name
      let examples = try Files.examples("topics/\(name)/examples/invalid")
      #expect(examples.count >= 5)
      for example in examples {
        let place = "\(name)/\(example.name)"
        #expect(throws: TopicError.self, "\(place)") { try Self.read(type, example.json) }
        let isForTypeAlone = example.name.hasSuffix(".type.json")
        #expect(type.topic.schema.accepts(example.json) == isForTypeAlone, "\(place)")
      }
    }
  }

  @Test("A field that nobody knows survives in every object that may grow")
  func unknownFields() throws {
    for type in valueTypes {
      let name = type.topic.name
      for example in try Files.examples("topics/\(name)/examples/valid")
      where !example.name.hasPrefix("form-") && example.json["manifest"] == nil {
        let more = Self.growing(example.json)
        #expect(try Self.read(type, more).json == more, "\(name)/\(example.name)")
      }
    }
  }

  /// Adds a field to the value, and to the objects in it that are ours to extend.
  private static func growing(_ json: JSON) -> JSON {
    guard case .object(var object) = json else { return json }
    for key in ["votes", "usage", "source", "prequential", "response", "signature", "choice"] {
      if let inner = object[key] { object[key] = growing(inner) }
    }
    for key in ["ranges", "skipped", "outcomes", "headers", "verdicts", "evidence", "asked"] {
      if let inner = object[key]?.arrayValue { object[key] = .array(inner.map(growing)) }
    }
    object["field_of_tomorrow"] = ["nested": [1, 2.5, nil, true, "é"]]
    return .object(object)
  }

  @Test("Definitions of the same name are the same in all schemas")
  func definitions() throws {
    let shared: Set<String> = [
      "digest", "call", "tool_call", "message", "coordinates", "manifest", "file", "architecture", "pruning",
      "lineage", "evidence", "latency", "signature",
    ]
    var known: [String: JSON] = [:]
    for topic in TopicSpecification.all {
      for (name, schema) in topic.schema.json["$defs"]?.objectValue ?? [:] where shared.contains(name) {
        #expect(known[name] == nil || known[name] == schema, "\(topic.name): \(name)")
        known[name] = schema
      }
    }
    #expect(Set(known.keys) == shared)
  }

  @Test("The schema in the binary is the file in the folder, and is named after its topic")
  func embedded() throws {
    for topic in TopicSpecification.all {
      let file = try Files.json("topics/\(topic.name)/\(topic.name).schema.json")
      #expect(topic.schema.json == file)
      #expect(file["title"]?.stringValue == topic.schemaName)
    }
  }

  @Test("A schema header is read with any minor and no other major version")
  func schemaHeaders() {
    let topic = SampleRecord.topic
    #expect(topic.reads(schema: "samples/1.0"))
    #expect(topic.reads(schema: "samples/1.17"))
    for header in ["samples/2.0", "requests/1.0", "samples", "samples/1", "samples/1.x", "", "samples/1.0/1.0"] {
      #expect(!topic.reads(schema: header))
    }
  }
}
