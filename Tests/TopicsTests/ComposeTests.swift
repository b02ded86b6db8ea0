import Testing
import Topics
import Yams

@Suite("ops/compose.yaml fits together, and the brokers hold what the topics need")
struct ComposeTests {
  private let document: Node

  init() throws {
    let text = String(decoding: try Files.bytes("ops/compose.yaml"), as: UTF8.self)
    document = try #require(try Yams.compose(yaml: text))
  }

  /// A service's setting, its own or one that `<<` merges in.
  private func setting(_ name: String, of service: Node) -> Node? {
    service[name] ?? service["<<"].flatMap { setting(name, of: $0) }
  }

  private var services: [(name: String, node: Node)] {
    document["services"]?.mapping?.map { ($0.key.string ?? "", $0.value) } ?? []
  }

  @Test("every service has an image, and networks, volumes and dependencies that exist")
  func references() throws {
    let names = Set(services.map(\.name))
    #expect(names == ["kafka-1", "kafka-2", "kafka-3", "topics", "label", "train", "release", "serve"])
    let volumes = Set(document["volumes"]?.mapping?.keys.compactMap(\.string) ?? [])
    let networks = Set(document["networks"]?.mapping?.keys.compactMap(\.string) ?? [])
    for (name, service) in services {
      #expect(setting("image", of: service)?.string?.isEmpty == false, "\(name)")
      for network in setting("networks", of: service)?.sequence ?? [] {
        #expect(networks.contains(network.string ?? ""), "\(name)")
      }
      for volume in setting("volumes", of: service)?.sequence?.compactMap(\.string) ?? [] {
        let source = String(volume.prefix { $0 != ":" })
        #expect(source.hasPrefix("./") || volumes.contains(source), "\(name): \(volume)")
      }
      for needed in setting("depends_on", of: service)?.mapping?.keys.compactMap(\.string) ?? [] {
        #expect(names.contains(needed), "\(name): \(needed)")
      }
    }
  }

  @Test(
    "the stages' user owns where their state is, and there are partitions for as many labellers as the file speaks of")
  func stages() throws {
    for (name, service) in services where !name.hasPrefix("kafka") {
      #expect(setting("init", of: service)?.bool == true, "\(name)")
    }
    let label = try #require(services.first { $0.name == "label" }?.node)
    let environment = try #require(setting("environment", of: label))
    let state = try #require(environment["RETORT_STATE"]?.string)
    #expect(setting("volumes", of: label)?.sequence?.contains { $0.string == "state:\(state)" } == true)
    let image = String(decoding: try Files.bytes("ops/Dockerfile"), as: UTF8.self)
    #expect(image.contains("install -d -o retort -g retort \(state)\n"))
    // What git leaves out of the repository (a build, the teacher's key) stays out of the image's build too.
    let left = Set(String(decoding: try Files.bytes(".dockerignore"), as: UTF8.self).split(separator: "\n"))
    for path in [".build", ".git", "ops/compose.env", "ops/deployment"] { #expect(left.contains(path[...])) }
    let text = String(decoding: try Files.bytes("ops/compose.yaml"), as: UTF8.self)
    let scale = try #require(text.firstMatch(of: /--scale label=(\d+)/).flatMap { Int($0.1) })
    let partitions = try #require(environment["RETORT_LOG_PARTITIONS"]?.string.flatMap { Int($0) })
    #expect(partitions >= scale)
  }

  @Test("three nodes that know each other, each with a place of its own; two of three hold what was acknowledged")
  func brokers() throws {
    var nodes: Set<String> = []
    var places: Set<String> = []
    for (name, service) in services where name.hasPrefix("kafka-") {
      let environment = try #require(service["environment"])
      let id = try #require(environment["KAFKA_NODE_ID"]?.string)
      nodes.insert(id)
      #expect(name == "kafka-\(id)")
      #expect(environment["KAFKA_ADVERTISED_LISTENERS"]?.string == "CLIENT://\(name):9092")
      let voters = setting("KAFKA_CONTROLLER_QUORUM_VOTERS", of: environment)?.string ?? ""
      #expect(voters.split(separator: ",").contains("\(id)@\(name):9093"))
      places.insert(service["volumes"]?[0]?.string ?? "")
      func number(_ name: String) -> Int? { setting(name, of: environment)?.int }
      #expect(number("KAFKA_DEFAULT_REPLICATION_FACTOR") == 3)
      #expect(number("KAFKA_MIN_INSYNC_REPLICAS") == 2)
      #expect(number("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR") == 3)
      #expect(number("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR") == 2)
      let largest = try #require(TopicSpecification.all.map(\.maximumMessageBytes).max())
      #expect(try #require(number("KAFKA_MESSAGE_MAX_BYTES")) >= largest + 65_536)
      #expect(number("KAFKA_REPLICA_FETCH_MAX_BYTES") == number("KAFKA_MESSAGE_MAX_BYTES"))
    }
    #expect(nodes == ["1", "2", "3"])
    #expect(places.count == 3)
  }
}
