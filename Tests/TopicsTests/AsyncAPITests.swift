import Testing
import Topics
import Yams

@Suite("asyncapi.yaml says what the specifications say")
struct AsyncAPITests {
  private let document: Node

  init() throws {
    let text = String(decoding: try Files.bytes("topics/asyncapi.yaml"), as: UTF8.self)
    document = try #require(try Yams.compose(yaml: text))
  }

  private func channel(_ name: String) throws -> Node { try #require(document["channels"]?[name]) }

  private func message(_ name: String) throws -> Node { try #require(document["components"]?["messages"]?[name]) }

  @Test("It is AsyncAPI 3.0 with exactly our topics, in order")
  func topics() throws {
    #expect(document["asyncapi"]?.string == "3.0.0")
    let names = TopicSpecification.all.map(\.name)
    #expect(document["channels"]?.mapping?.keys.compactMap(\.string) == names)
    #expect(document["components"]?["messages"]?.mapping?.keys.compactMap(\.string) == names)
  }

  @Test("Channels have the addresses, partitions, clean-up, retention and sizes of the specifications")
  func channels() throws {
    for topic in TopicSpecification.all {
      let channel = try channel(topic.name)
      let address = TopicSpecification.defaultPrefix + topic.name
      #expect(channel["address"]?.string == address)
      #expect(channel["x-partitions-fixed"]?.bool == topic.partitionsAreFixed)
      let kafka = try #require(channel["bindings"]?["kafka"])
      #expect(kafka["topic"]?.string == address)
      #expect(kafka["partitions"]?.int == topic.partitions)
      let configuration = try #require(kafka["topicConfiguration"])
      let cleanup = configuration["cleanup.policy"]?.array().compactMap(\.string) ?? []
      #expect(Set(cleanup) == Set(topic.cleanup.map(\.rawValue)))
      let retention = configuration["retention.ms"]?.int.map(Int64.init)
      #expect(retention == (topic.cleanup.contains(.delete) ? topic.retentionMilliseconds ?? -1 : nil))
      #expect(configuration["delete.retention.ms"]?.int.map(Int64.init) == topic.tombstoneMilliseconds)
      // Kafka counts its framing too.
      #expect(configuration["max.message.bytes"]?.int == topic.maximumMessageBytes + 1_024)
      #expect(configuration["message.timestamp.type"]?.string == (topic.logAppendTime ? "LogAppendTime" : nil))
      #expect(
        channel["messages"]?[topic.name]?["$ref"]?.string == "#/components/messages/\(topic.name)")
    }
  }

  @Test("Messages have the names, content types, headers, keys and schema files of the specifications")
  func messages() throws {
    for topic in TopicSpecification.all {
      let message = try message(topic.name)
      #expect(message["name"]?.string == topic.schemaName)
      #expect(message["contentType"]?.string == topic.contentType)
      let headers = try #require(message["headers"]?["properties"])
      #expect(headers["content-type"]?["const"]?.string == topic.contentType)
      #expect(headers["schema"]?["const"]?.string == topic.schemaName)
      #expect(headers["traceparent"] != nil)
      #expect(message["bindings"]?["kafka"]?["key"]?["description"]?.string == topic.key)
      let isBinary = topic.contentType != "application/json"
      let reference = isBinary ? message["x-json-view"]?["$ref"] : message["payload"]?["$ref"]
      let path = try #require(reference?.string)
      #expect(path == "./\(topic.name)/\(topic.name).schema.json")
      #expect(try Files.json("topics/" + path.dropFirst(2)) == topic.schema.json)
      if isBinary { #expect(message["payload"]?["maxLength"]?.int == ArtifactChunk.maximumBytes) }
    }
  }

  @Test("Every operation is on a channel with its message, and every channel is written and read")
  func operations() throws {
    var actions: [String: Set<String>] = [:]
    for (_, operation) in try #require(document["operations"]?.mapping) {
      let channel = try #require(operation["channel"]?["$ref"]?.string)
      let name = String(channel.dropFirst("#/channels/".count))
      #expect(channel == "#/channels/\(name)")
      #expect(operation["messages"]?[0]?["$ref"]?.string == "#/channels/\(name)/messages/\(name)")
      actions[name, default: []].insert(operation["action"]?.string ?? "")
      let summary = operation["summary"]?.string ?? ""
      #expect(!summary.isEmpty)
    }
    for topic in TopicSpecification.all { #expect(actions[topic.name] == ["send", "receive"]) }
  }
}
