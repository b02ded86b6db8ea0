import Foundation
import KafkaLog
import LogContract
import MessageLog
import Testing

@Suite("The log on Kafka keeps the contract of every log", .serialized)
struct ContractTests {
  @Test("contract, on librdkafka's mock cluster", .timeLimit(.minutes(4)), arguments: ContractSuite.all)
  func onTheMock(_ item: ContractCase) async throws {
    for last in [false, false, true] {
      let cluster = try MockCluster()
      let harness = LogHarness(
        sessionTimeout: .seconds(4), wakeUp: .milliseconds(100),
        open: { try cluster.open() },
        abandon: { log in await (log as? MockedLog)?.log.abandon() })
      do {
        if case .skipped(let reason) = try await item.run(harness) { print("skipped: \(reason)") }
        return
      } catch {
        // Only what the mock itself got wrong is excused, and only where it was seen to.
        guard !last, cluster.refusedSyncs.count > 0 else { throw error }
        print("begun again, because the mock refused \(cluster.refusedSyncs.count) syncs: \(item.name): \(error)")
      }
    }
  }

  @Test(
    "contract, on the broker that KAFKA_BOOTSTRAP names", .enabled(if: RealBroker.isNamed, RealBroker.reason),
    .timeLimit(.minutes(2)), arguments: ContractSuite.all)
  func onABroker(_ item: ContractCase) async throws {
    let prefix = RealBroker.freshPrefix()
    let harness = LogHarness(
      sessionTimeout: .seconds(6),
      open: { NamespacedLog(log: try RealBroker.open(prefix: prefix), prefix: prefix) },
      abandon: { log in await (log as? NamespacedLog)?.log.abandon() })
    let outcome = try await item.run(harness)
    if case .skipped(let reason) = outcome {
      let excused = ["maintenanceOnDemand", "erasure"].contains { reason.hasSuffix("has no \($0)") }
      #expect(excused, "a broker does everything but maintenance and erasure on demand: \(reason)")
      print("skipped: \(reason)")
    }
  }
}

/// The broker that the environment names.
enum RealBroker {
  static let servers = ProcessInfo.processInfo.environment["KAFKA_BOOTSTRAP"] ?? ""
  static var isNamed: Bool { !servers.isEmpty }
  static let reason: Comment = "KAFKA_BOOTSTRAP names no broker (host:port), so what only a real one shows is not seen"

  static func freshPrefix() -> String { "test-\(UUID().uuidString.prefix(8).lowercased())." }

  static func open(prefix: String, properties: [String: String] = [:]) throws -> KafkaLog {
    try KafkaLog(servers: servers, options: .init(properties: properties, topicPrefix: prefix))
  }
}
