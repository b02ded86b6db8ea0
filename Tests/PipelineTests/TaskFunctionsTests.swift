import DemoWorld
import Logging
import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Synchronization
import Teacher
import Testing
import Tokenization
import Topics
import Training

/// The functions of a task over its life: their definitions in the ledger, and students that follow them.
@Suite struct TaskFunctionsTests {
  private static func functions(without name: String? = nil) throws -> FunctionSet {
    try FunctionSet(json: .array(HomeFunctions.functions().functions.filter { $0.name != name }.map(\.json)))
  }

  /// Labels requests that come with an answer.
  private func label(
    _ bench: LabelStageTests.Bench, _ calls: [(id: String, text: String, call: Call)], _ functions: FunctionSet,
    over other: (any MessageLog)? = nil
  ) async throws {
    for (id, text, call) in calls {
      let request: JSON = [
        "id": .string(id), "text": .string(text), "response": ["producer": "import", "call": call.json],
      ]
      try await bench.append(request.text, key: id)
    }
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let teacher = try Teacher(
      task: TaskDefinition(instructions: "", functions: functions), configuration: TeacherConfiguration(endpoint: nil),
      logger: logger)
    do {
      try await LabelStage(
        log: other ?? bench.log, names: bench.names, teacher: teacher, functions: functions,
        trustedProducers: ["import"], logger: logger
      ).run(.untilIdle)
    } catch {
      await teacher.shutdown()
      throw error
    }
    await teacher.shutdown()
  }

  private func ledger(_ bench: LabelStageTests.Bench) async throws -> [LedgerRecord] {
    var accounts: [LedgerRecord] = []
    try await TopicScan.each(log: bench.log, topic: bench.names.ledger) { record in
      accounts.append(try RecordCoding.value(of: record, as: LedgerRecord.self))
    }
    return accounts
  }

  private static func doors(_ range: Range<Int>) -> [(id: String, text: String, call: Call)] {
    range.map { index in
      let door = ["front", "back", "garage", "cellar"][index % 4]
      return (
        "door\(index)", "please lock the \(door) door, number \(index)",
        Call(name: "lock_door", arguments: ["door": .string(door), "locked": true])
      )
    }
  }

  private static func weather(_ range: Range<Int>) -> [(id: String, text: String, call: Call)] {
    range.map { index in
      let city = ["Oslo", "Rome", "Quito"][index % 3]
      return (
        "weather\(index)", "the weather in \(city), take \(index)",
        Call(name: "get_weather", arguments: ["city": .string(city)])
      )
    }
  }

  private func train(
    _ bench: LabelStageTests.Bench, _ model: String, _ functions: FunctionSet
  ) async throws -> Trainer {
    let recipe = try TrainingRecipe(json: [
      "hidden_size": 32, "layer_count": 1, "head_count": 2, "key_value_head_count": 1, "feed_forward_size": 32,
      "vocabulary_size": 400, "space_fused_pieces": 8, "tokenizer_samples": 8, "round_size": 8, "replay_per_sample": 1,
      "decay_steps": 800, "candidate_steps": 0, "base_steps": 0,
    ])
    let store = CheckpointStore(folder: bench.folder + "/" + model)
    try await TrainStage(
      log: bench.log, names: bench.names, model: model, recipe: recipe, functions: functions, checkpoints: store,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    ).run(.untilIdle)
    let announced = try await TrainStage.announced(log: bench.log, names: bench.names, model: model)
    return try Trainer(restoring: try #require(announced.progress).digest, from: store)
  }

  @Test(
    "a function that is added later reaches the student by its first sample; another student of the log is the same")
  func added() async throws {
    let bench = try await LabelStageTests.Bench()
    let (early, late) = (try Self.functions(without: "get_weather"), try Self.functions())
    try await label(bench, Self.doors(0..<30), early)
    let first = try await train(bench, "live", early)
    #expect(first.functions["get_weather"] == nil)
    // The trainer has no need of the file: the log has the definitions.
    try await label(bench, Self.doors(30..<34) + Self.weather(0..<30), late)
    let live = try await train(bench, "live", early)
    #expect(live.functions.digest == late.digest)
    #expect(live.trainingSamples.contains { $0.call.name == "get_weather" })
    #expect(try await ledger(bench).compactMap(\.functions).count == 2)
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds && audit.samples == 64, "\(audit.findings)")
    for functions in [early, late] {
      let again = try await train(bench, "again\(functions.functions.count)", functions)
      #expect(again.weightsDigest == live.weightsDigest)
      #expect(again.tokenizer?.digest == live.tokenizer?.digest)
    }
    try await bench.log.close()
  }

  @Test("a function that is gone or has other parameters is refused in one sentence; another description is not")
  func refused() async throws {
    let bench = try await LabelStageTests.Bench()
    try await label(bench, Self.doors(0..<5), Self.functions())
    let without = try Self.functions(without: "get_weather")
    let gone = await #expect(throws: PipelineError.self) { try await label(bench, Self.doors(5..<9), without) }
    #expect(gone?.code == .functions)
    #expect(
      gone?.description.contains("expected get_weather as this deployment has had it, found no such function") == true)
    func replaced(_ definition: JSON) throws -> FunctionSet {
      try FunctionSet(json: .array(without.functions.map(\.json) + [definition]))
    }
    let other = try replaced(["name": "get_weather", "parameters": ["type": "object", "properties": [:]]])
    let changed = await #expect(throws: PipelineError.self) { try await label(bench, Self.doors(5..<9), other) }
    #expect(changed?.description.contains("found it with other parameters") == true)
    let parameters = try #require(try Self.functions()["get_weather"]).parametersJSON
    let told = try replaced(["name": "get_weather", "description": "Rain or shine.", "parameters": parameters])
    try await label(bench, Self.doors(5..<9), told)
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds && audit.samples == 9, "\(audit.findings)")
    try await bench.log.close()
  }

  @Test("a labeller that has begun goes on where others come with more functions; it does not start again without them")
  func others() async throws {
    let bench = try await LabelStageTests.Bench()
    let (early, late) = (try Self.functions(without: "get_weather"), try Self.functions())
    let isFirst = Atomic(true)
    let account = LedgerRecord(functions: late)
    let hooked = HookedLog(
      bench.log,
      willCommit: {
        guard isFirst.exchange(false, ordering: .relaxed) else { return }
        _ = try await bench.log.append([
          RecordCoding.record(account, topic: bench.names.ledger, key: account.transaction)
        ])
        throw MessageLogError(.fenced, "another labeller has joined", advice: "begin again", isRetriable: true)
      })
    try await label(bench, Self.doors(0..<5), early, over: hooked)
    let audit = try await Audit.run(log: bench.log, names: bench.names)
    #expect(audit.holds && audit.samples == 5, "\(audit.findings)")
    let refused = await #expect(throws: PipelineError.self) { try await label(bench, Self.doors(5..<6), early) }
    #expect(refused?.code == .functions)
    try await bench.log.close()
  }

  @Test("samples whose functions nobody has are refused, naming them, rather than trained on with others")
  func unknown() async throws {
    let bench = try await LabelStageTests.Bench()
    let early = try Self.functions(without: "get_weather")
    let sample = SampleRecord(
      id: "a", messages: [.user("lock the door")],
      call: Call(name: "lock_door", arguments: ["door": "front", "locked": true]),
      split: .train, functionsDigest: early.digest)
    _ = try await bench.log.append([
      RecordCoding.record(sample, topic: bench.names.samples, key: sample.id, partition: 0)
    ])
    let error = await #expect(throws: PipelineError.self) { _ = try await train(bench, "live", Self.functions()) }
    #expect(error?.code == .functions && error?.description.contains(early.digest.hex) == true)
    try await bench.log.close()
  }
}
