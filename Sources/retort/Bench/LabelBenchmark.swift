import DemoWorld
import Foundation
import Pipeline
import SQLiteLog
import Teacher
import Topics

/// How fast requests with recorded answers go through the label stage.
enum LabelBenchmark {
  static func run(requests count: Int) async throws -> Double {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("retort-bench-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let names = TopicNames()
    let log = try SQLiteLog(path: folder + "/bench.db")
    try await DeploymentTopics.ensure(log: log, names: names, requestPartitions: 1)
    let grammar = RequestGrammar(seed: 1)
    let lines = (0..<count).map { index -> [UInt8] in
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
    let elapsed = try await ContinuousClock().measure { try await stage.run(.untilIdle) }
    await teacher.shutdown()
    try await log.close()
    return Double(count) / (Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18)
  }
}
