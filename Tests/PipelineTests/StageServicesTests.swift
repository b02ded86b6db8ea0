import Logging
import Pipeline
import SQLiteLog
import Synchronization
import Testing

/// Stages that run together.
@Suite struct StageServicesTests {
  /// The last stage ends, so the one before it is told to stop; the first ends by itself meanwhile. Which of the two ends the group
  /// hears of first is a matter of luck, so it is asked many times.
  @Test func aStageMayEndWhileAnotherIsStopped() async throws {
    for _ in 0..<200 {
      let isStopping = Atomic(false)
      let hasEnded = Atomic(false)
      let first = StageService(name: "first") {
        while !isStopping.load(ordering: .acquiring) { await Task.yield() }
        hasEnded.store(true, ordering: .releasing)
      }
      let second = StageService(name: "second") {
        while !Task.isCancelled { await Task.yield() }
        isStopping.store(true, ordering: .releasing)
        while !hasEnded.load(ordering: .acquiring) { await Task.yield() }
      }
      let last = StageService(name: "last", isLast: true) {}
      try await StageServices.run(
        [first, second, last], logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
      let itEnded = hasEnded.load(ordering: .acquiring)
      #expect(itEnded)
    }
  }

  @Test func whoeverRunsStagesLearnsWhetherTheyEndedByThemselves() async throws {
    let bench = try await LabelStageTests.Bench()
    #expect(try await bench.run(.untilIdle))
    let running = Task { try await bench.run(.forever) }
    running.cancel()
    // Cancelled before it began, or while it ran: it did not end by itself.
    let ended = try? await running.value
    #expect(ended != true)
    try await bench.log.close()
  }
}
