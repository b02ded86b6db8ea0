import Foundation
import Logging
import Synchronization
import Teacher
import Topics

/// A clock on which sleeping is free: it advances itself and remembers how long was slept.
final class VirtualClock: Sendable {
  private let state = Mutex((now: Duration.zero, sleeps: [Duration]()))
  private let origin: Int64

  init(wallMilliseconds: Int64 = 1_700_000_000_000) { origin = wallMilliseconds }

  var now: Duration { state.withLock { $0.now } }
  var sleeps: [Duration] { state.withLock { $0.sleeps } }

  var clock: TeacherClock {
    TeacherClock(
      monotonic: { self.now }, wallMilliseconds: { self.origin + self.now.wholeMilliseconds },
      sleep: { duration in
        try Task.checkCancellation()
        self.state.withLock {
          $0.now += duration
          $0.sleeps.append(duration)
        }
        await Task.yield()
      }, uniform: { 0.5 })
  }
}

enum Fixtures {
  static let quiet: Logger = {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return logger
  }()

  static let light = ("set_light", #"{"room":"kitchen","on":true}"#)

  static func functions() throws -> FunctionSet {
    try FunctionSet(json: [
      tool("set_light", ["room": ["type": "string"], "on": ["type": "boolean"]], ["room", "on"]),
      tool("play", ["artist": ["type": "string"], "mode": ["type": "string", "enum": ["loud", "soft"]]], ["artist"]),
    ])
  }

  static func tool(_ name: String, _ properties: JSONObject, _ required: [String]) -> JSON {
    [
      "type": "function",
      "function": [
        "name": .string(name), "description": "A function.",
        "parameters": [
          "type": "object", "properties": .object(properties), "required": .array(required.map { .string($0) }),
          "additionalProperties": false,
        ],
      ],
    ]
  }

  static func lookup(_ name: String, _ binding: LookupBinding) throws -> LookupFunction {
    LookupFunction(
      definition: try FunctionDefinition(json: tool(name, ["room": ["type": "string"]], ["room"])), binding: binding)
  }

  static func task(_ change: (inout TaskDefinition) throws -> Void = { _ in }) throws -> TaskDefinition {
    var task = TaskDefinition(instructions: "Call a function.", functions: try functions())
    try change(&task)
    return task
  }

  static func configuration(
    _ endpoint: String?, _ change: (inout TeacherConfiguration) -> Void = { _ in }
  ) -> TeacherConfiguration {
    var configuration = TeacherConfiguration(endpoint: endpoint, model: "test-model")
    configuration.retry = RetryPolicy(attempts: 3, base: .milliseconds(2), cap: .milliseconds(10))
    configuration.breaker = BreakerPolicy(failures: 4, pause: .milliseconds(5), maximumPause: .milliseconds(20))
    change(&configuration)
    return configuration
  }

  static func request(_ text: String = "Turn on the light in the kitchen", id: String = "1") -> RequestRecord {
    RequestRecord(id: id, text: text)
  }

  static func folder() throws -> URL {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("retort-teacher-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    return url
  }

  /// Labels one request with a new teacher and shuts it down.
  static func label(
    _ request: RequestRecord, task: TaskDefinition, configuration: TeacherConfiguration,
    clock: TeacherClock = .system
  ) async throws -> LabelOutcome {
    let teacher = try Teacher(task: task, configuration: configuration, clock: clock, logger: quiet)
    let outcome: LabelOutcome
    do { outcome = try await teacher.label(request) } catch {
      await teacher.shutdown()
      throw error
    }
    await teacher.shutdown()
    return outcome
  }
}

/// A logger that keeps its messages.
final class HeardMessages: Sendable {
  private let list = Mutex<[String]>([])

  var all: [String] { list.withLock { $0 } }
  var logger: Logger { Logger(label: "test") { _ in Handler(heard: self) } }

  private struct Handler: LogHandler {
    let heard: HeardMessages
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { heard.list.withLock { $0.append(event.message.description) } }
  }
}

extension Teacher {
  /// Waits until labelling is paused, for at most ten seconds.
  func pause() async throws -> TeacherState {
    for _ in 0..<5_000 {
      let state = await self.state
      if state != .running { return state }
      try await Task.sleep(for: .milliseconds(2))
    }
    return .running
  }
}

extension LabelOutcome {
  var accepted: AcceptedLabel? {
    if case .accepted(let label) = self { return label }
    return nil
  }

  var rejection: Rejection? {
    if case .rejected(let rejection) = self { return rejection }
    return nil
  }
}
