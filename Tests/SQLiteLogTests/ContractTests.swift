import Foundation
import LogContract
import MessageLog
import SQLiteLog
import Testing

@Suite("The embedded log keeps the contract of every log")
struct ContractTests {
  @Test("contract", .timeLimit(.minutes(2)), arguments: ContractSuite.all)
  func contract(_ item: ContractCase) async throws {
    let folder = try TemporaryFolder()
    // Tests beside these keep every thread of the pool busy for half a minute, and members are tasks.
    let harness = LogHarness(
      sessionTimeout: .seconds(2), patience: .seconds(70),
      open: { try SQLiteLog(path: folder.file("log.db"), options: .init(maintenanceInterval: nil)) },
      abandon: { log in try await (log as? SQLiteLog)?.abandon() },
      cleanUp: { folder.remove() })
    let outcome = try await item.run(harness)
    #expect(outcome == .passed, "the embedded log does everything: nothing may be skipped")
  }
}
