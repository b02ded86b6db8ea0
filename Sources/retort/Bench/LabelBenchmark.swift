import DemoWorld
import MessageLog
import Pipeline
import Synchronization
import Teacher
import Topics

/// How fast requests with recorded answers go through the label stage: a teacher that takes no time.
enum LabelBenchmark {
  /// Imports requests, then labels them; returns how many a second.
  static func run(
    log: any MessageLog, names: TopicNames, requests count: Int, partitions: Int
  ) async throws -> Double {
    try await DeploymentTopics.ensure(log: log, names: names, requestPartitions: partitions)
    let grammar = RequestGrammar(seed: 1)
    let lines = (0..<count).lazy.map { index -> [UInt8] in
      let request = grammar.request(at: index)
      return JSON.object(["id": .string("r\(index)"), "text": .string(request.text), "call": request.call.json]).bytes
    }
    _ = try await RequestImport.run(lines, name: "bench", log: log, names: names)
    let functions = try HomeFunctions.functions()
    let teacher = try Teacher(
      task: TaskDefinition(instructions: "", functions: functions), configuration: TeacherConfiguration(endpoint: nil),
      logger: Wiring.logger("bench"))
    let stage = LabelStage(
      log: log, names: names, teacher: teacher, functions: functions, trustedProducers: ["import"],
      logger: Wiring.logger("bench"))
    let pace = Pace(until: count)
    // Not until it is idle: librdkafka's mock cluster forgets the offsets that transactions commit.
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      tasks.addTask {
        defer { pace.stop() }
        try await stage.run(.forever) { pace.note($0.requests) }
      }
      for await _ in pace.end { break }
      tasks.cancelAll()
      while let result = await tasks.nextResult() {
        if case .failure(let error) = result, !(error is CancellationError) { throw error }
      }
    }
    await teacher.shutdown()
    return pace.perSecond
  }

  /// Requests a second between the first transaction and the last: joining the group is not part of it.
  private final class Pace: Sendable {
    private typealias Moment = (requests: Int, time: ContinuousClock.Instant)
    private let moments = Mutex<(first: Moment, last: Moment)?>(nil)
    private let count: Int
    private let signal: AsyncStream<Void>.Continuation
    /// Ends when all requests are labelled.
    let end: AsyncStream<Void>

    init(until count: Int) {
      self.count = count
      (end, signal) = AsyncStream.makeStream()
    }

    func note(_ requests: Int) {
      let now = (requests: requests, time: ContinuousClock.now)
      moments.withLock { $0 = ($0?.first ?? now, now) }
      if requests >= count { stop() }
    }

    func stop() { signal.finish() }

    var perSecond: Double {
      moments.withLock { moments in
        guard let (first, last) = moments, last.requests > first.requests else { return 0 }
        return Double(last.requests - first.requests) / ((last.time - first.time) / .seconds(1))
      }
    }
  }
}
