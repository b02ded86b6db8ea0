import DemoWorld
import Foundation
import Logging
import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Teacher
import Topics

extension LabelStageTests {
  /// A log in a folder of its own, with every topic.
  final class Bench: Sendable {
    let folder: String
    let log: SQLiteLog
    let names = TopicNames()

    /// - Parameter samplePartitions: as somebody else has made the topic.
    init(samplePartitions: Int = 1, requestPartitions: Int = 1) async throws {
      folder = FileManager.default.temporaryDirectory.appendingPathComponent("retort-\(UUID().uuidString)").path
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      // Nothing happens behind a test's back.
      log = try SQLiteLog(path: folder + "/log.db", options: .init(maintenanceInterval: nil))
      if samplePartitions > 1 {
        try await log.create([TopicConfiguration(name: names.samples, partitions: samplePartitions)])
      }
      try await DeploymentTopics.ensure(log: log, names: names, requestPartitions: requestPartitions)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func append(_ value: [UInt8]?, key: String, schema: String? = nil) async throws {
      let headers = schema.map { [Header("schema", $0)] } ?? []
      _ = try await log.append([NewRecord(topic: names.requests, key: Array(key.utf8), value: value, headers: headers)])
    }

    func append(_ text: String, key: String) async throws { try await append(Array(text.utf8), key: key) }

    /// Another log with the same records, in which no group has a position: as after a broker has forgotten them.
    func withoutPositions() async throws -> Bench {
      let other = try await Bench()
      for topic in try await log.topics() {
        var records: [NewRecord] = []
        try await TopicScan.each(log: log, topic: topic.name) { record in
          records.append(
            NewRecord(
              topic: record.topic, partition: record.partition, key: record.key, value: record.value,
              headers: record.headers, timestamp: record.timestamp))
        }
        if !records.isEmpty { _ = try await other.log.append(records) }
      }
      return other
    }

    /// Labels all that waits, or a range, by the answers that stand in the requests.
    func label(
      range: RequestRange? = nil, as relabelling: String? = nil, verifier: Verifier? = nil,
      over other: (any MessageLog)? = nil, transactionRecords: Int = 1_000,
      progress: @Sendable (LabelProgress) -> Void = { _ in }
    ) async throws {
      let functions = try HomeFunctions.functions()
      let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
      let teacher = try Teacher(
        task: TaskDefinition(instructions: "", functions: functions, verifier: verifier),
        configuration: TeacherConfiguration(endpoint: nil),
        logger: logger)
      let names = relabelling.map { self.names.relabelled(as: $0) } ?? self.names
      if relabelling != nil { try await DeploymentTopics.ensure(log: log, names: names, requestPartitions: 1) }
      try await LabelStage(
        log: other ?? log, names: names, teacher: teacher, functions: functions, trustedProducers: ["import"],
        range: range, logger: logger, transactionRecords: transactionRecords
      ).run(.untilIdle, progress: progress)
      await teacher.shutdown()
    }

    /// The label stage as the only one of a process; whether it ended by itself.
    func run(_ mode: RunMode) async throws -> Bool {
      let functions = try HomeFunctions.functions()
      let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
      let teacher = try Teacher(
        task: TaskDefinition(instructions: "", functions: functions),
        configuration: TeacherConfiguration(endpoint: nil), logger: logger)
      let stage = LabelStage(
        log: log, names: names, teacher: teacher, functions: functions, trustedProducers: ["import"], logger: logger)
      do {
        let isWhole = try await StageServices(label: stage).run(mode, logger: logger)
        await teacher.shutdown()
        return isWhole
      } catch {
        await teacher.shutdown()
        throw error
      }
    }

    func letters() async throws -> [String: String] {
      let entries = try await DeadLetters.list(log: log, names: names)
      return Dictionary(
        entries.map { (String(decoding: $0.letter.key ?? [], as: UTF8.self), $0.letter.code) }, uniquingKeysWith: { $1 }
      )
    }

    /// A request with the answer of a producer that is trusted.
    static let answered =
      #"{"id":"good","text":"lock the front door","response":{"producer":"import","call":{"name":"lock_door","arguments":{"door":"front","locked":true}}}}"#
  }
}
