import Foundation
import Logging
import MessageLog
import ModelFiles
import Pipeline
import RetortClient
import SQLiteLog
import StudentModel
import Synchronization
import Teacher
import Testing
import Tokenization
import Topics
import Training

@Suite("From an endpoint's log-probabilities to a student, over the log")
struct DistillationJourneyTests {
  private static let rooms = ["kitchen", "garden", "attic", "hall", "bath"]

  /// A folder with a small model and the teacher's tokenizer.
  private static func base(in folder: String, seed: UInt64 = 3, text: String = "Turn on the light in the") throws
    -> Tokenizer
  {
    let tokenizer = try Tokenizer.train(
      rooms.map { "\(text) \($0)" }, vocabularySize: 330, spaceFused: 8, structure: [])
    var recipe = TrainingRecipe()
    (recipe.hiddenSize, recipe.layerCount, recipe.headCount, recipe.keyValueHeadCount) = (32, 1, 2, 1)
    (recipe.feedForwardSize, recipe.maximumSequence) = (64, 96)
    let student = try Student(
      configuration: recipe.configuration(vocabularySize: tokenizer.vocabularySize), seed: seed)
    try HuggingFaceFolder.write(
      folder + "/base", configuration: student.configuration,
      parameters: student.layout.entries.map {
        (name: $0.name, shape: $0.shape, values: UnsafeBufferPointer(student.parameters($0)))
      },
      tokenizer: HuggingFaceFolder.TokenizerFiles(
        json: tokenizer.huggingFaceJSON, chatTemplate: "{{ messages[0].content }}",
        endOfText: (id: Int(tokenizer.controls.endOfText), text: "<|endoftext|>")))
    return tokenizer
  }

  /// What a server that writes calls as text says of its tokens.
  private static func logprobs(_ room: String, _ tokenizer: Tokenizer) -> JSON {
    let parts = ["{\"name\": \"set_light\", \"arguments\": ", "{\"room\": \"", room, "\", \"on\": ", "true", "}", "}"]
    let tokens = parts.flatMap { tokenizer.encode($0) }.map { tokenizer.bytes(of: $0) }
    func entry(_ bytes: [UInt8], _ log: Double) -> JSONObject {
      [
        "token": .string(String(decoding: bytes, as: UTF8.self)), "logprob": .number(log),
        "bytes": .array(bytes.map { .integer(Int64($0)) }),
      ]
    }
    return [
      "content": .array(
        tokens.map { bytes in
          var token = entry(bytes, -0.25)
          token["top_logprobs"] = [.object(entry(bytes, -0.25)), .object(entry(Array("@".utf8), -2))]
          return .object(token)
        })
    ]
  }

  private static var recipe: TrainingRecipe {
    var recipe = TrainingRecipe()
    (recipe.roundSize, recipe.batchSize, recipe.replayPerSample, recipe.maximumSequence) = (8, 4, 2, 96)
    (recipe.warmupSteps, recipe.swapProbability) = (2, 0)
    recipe.distillTeacher = TrainingRecipe.samples
    return recipe
  }

  @Test(
    "label asks for them, samples carry them, and a student that starts from the teacher's tokenizer learns from them")
  func journey() async throws {
    let folder = try Fixtures.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let tokenizer = try Self.base(in: folder.path)
    let functions = try Fixtures.functions()
    let log = try SQLiteLog(path: folder.path + "/log.db", options: .init(maintenanceInterval: nil))
    let names = TopicNames()
    try await DeploymentTopics.ensure(log: log, names: names, requestPartitions: 1)
    for index in 0..<24 {
      let room = Self.rooms[index % 5]
      let text = "Turn on the light in the \(room)" + (index < 5 ? "" : " \(index)")
      let request: JSON = ["id": .string("r\(index)"), "text": .string(text)]
      _ = try await log.append([NewRecord(topic: names.requests, key: Array("r\(index)".utf8), value: request.bytes)])
    }
    try await ScriptedServer.run { seen in
      let room = Self.rooms.first { seen.said.contains($0) } ?? ""
      return .calls(
        ("set_light", "{\"room\":\"\(room)\",\"on\":true}"), logprobs: Self.logprobs(room, tokenizer))
    } body: { address, _ in
      let configuration = Fixtures.configuration(address) {
        $0.topLogprobs = 2
        $0.vocabulary = TokenVocabulary(tokenizer)
      }
      let teacher = try Teacher(task: try Fixtures.task(), configuration: configuration, logger: Fixtures.quiet)
      try await LabelStage(
        log: log, names: names, teacher: teacher, functions: functions, trustedProducers: [], logger: Fixtures.quiet
      ).run(.untilIdle)
      #expect(teacher.metrics.logprobs == 24 && teacher.metrics.missedLogprobs == 0)
      await teacher.shutdown()
    }
    let samples = try await Self.samples(log, names)
    #expect(samples.count == 24)
    for sample in samples { #expect((sample.topLogprobs != nil) == (sample.split == .train)) }
    let first = try await Self.train(log, names, functions, folder.path, "one", base: folder.path)
    #expect(first.soft == samples.count { $0.split == .train } && first.soft > 15)
    let again = try await Self.train(log, names, functions, folder.path, "two", base: folder.path)
    #expect(again.weights == first.weights)
    try await Self.changeBase(log, names, functions, folder.path)
    try await Self.changeTeacher(log, names, functions, folder.path)
    try await Self.correct(samples.filter { $0.split == .train }, log, names, functions)
    try await log.close()
  }

  /// A student of one base does not go on with another, or with none; told to, it starts over with the other.
  private static func changeBase(
    _ log: SQLiteLog, _ names: TopicNames, _ functions: FunctionSet, _ folder: String
  ) async throws {
    let other = folder + "/other"
    try FileManager.default.createDirectory(atPath: other, withIntermediateDirectories: true)
    _ = try base(in: other, seed: 4)
    for base in [other, nil] {
      let refused = await #expect(throws: TrainingError.self) {
        _ = try await train(log, names, functions, folder, "one", base: base)
      }
      #expect(refused?.code == .checkpointMismatch && refused?.description.contains("--anew") == true)
    }
    let before = try await TrainStage.announced(log: log, names: names, model: "one").progress
    _ = try await train(log, names, functions, folder, "one", base: folder, mayStartAnew: true)
    #expect(try await TrainStage.announced(log: log, names: names, model: "one").progress?.digest == before?.digest)
    _ = try await train(log, names, functions, folder, "one", base: other, mayStartAnew: true)
    let after = try #require(try await TrainStage.announced(log: log, names: names, model: "one").progress)
    let store = CheckpointStore(folder: folder + "/checkpoints")
    #expect(after.digest != before?.digest && after.chain == before?.chain)
    let digest = try BaseModel(folder: other + "/base", functions: functions).digest
    #expect(try store.summary(of: after.digest).baseDigest == digest)
  }

  /// A model of other tokens is refused before anything is learned; one of the same is not.
  private static func changeTeacher(
    _ log: SQLiteLog, _ names: TopicNames, _ functions: FunctionSet, _ folder: String
  ) async throws {
    let strange = folder + "/strange"
    try FileManager.default.createDirectory(atPath: strange, withIntermediateDirectories: true)
    _ = try base(in: strange, text: "Play something in the")
    let refused = await #expect(throws: TrainingError.self) {
      _ = try await train(log, names, functions, folder, "three", base: folder, teacher: strange + "/base")
    }
    #expect(refused?.code == .invalidBase && refused?.context == "the teacher's tokenizer")
    #expect(try await TrainStage.announced(log: log, names: names, model: "three").progress == nil)
    let own = try await train(log, names, functions, folder, "three", base: folder, teacher: folder + "/base")
    #expect(own.weights != nil)
  }

  /// A judgement leaves the label's log-probabilities; with another label they go.
  private static func correct(
    _ samples: [SampleRecord], _ log: SQLiteLog, _ names: TopicNames, _ functions: FunctionSet
  ) async throws {
    let other = Call(name: "play", arguments: ["artist": "ada"])
    let feedback = [
      FeedbackRecord(requestID: samples[0].id, score: 0, answer: other, producer: "people"),
      FeedbackRecord(requestID: samples[1].id, score: 0, call: other, producer: "people"),
    ]
    _ = try await log.append(feedback.map { RecordCoding.record($0, topic: names.feedback, key: $0.requestID) })
    let teacher = try Teacher(
      task: try Fixtures.task(), configuration: TeacherConfiguration(endpoint: nil), logger: Fixtures.quiet)
    try await FeedbackStage(
      log: log, names: names, teacher: teacher, functions: functions, trustedProducers: ["people"], joinsScores: true,
      logger: Fixtures.quiet
    ).run(.untilIdle)
    await teacher.shutdown()
    let now = try await Self.samples(log, names)
    let judged = try #require(now.last { $0.id == samples[0].id })
    #expect(
      !judged.judged.isEmpty && judged.topLogprobs == samples[0].topLogprobs && judged.digest != samples[0].digest)
    let corrected = try #require(now.last { $0.id == samples[1].id })
    #expect(corrected.call == other && corrected.topLogprobs == nil)
  }

  private static func samples(_ log: SQLiteLog, _ names: TopicNames) async throws -> [SampleRecord] {
    let found = Mutex<[SampleRecord]>([])
    try await TopicScan.each(log: log, topic: names.samples) { record in
      let sample = try RecordCoding.value(of: record, as: SampleRecord.self)
      found.withLock { $0.append(sample) }
    }
    return found.withLock { $0 }
  }

  /// Trains on all samples from the base in the folder or another; how many were learned with the teacher's distributions, and what the weights are.
  private static func train(
    _ log: SQLiteLog, _ names: TopicNames, _ functions: FunctionSet, _ folder: String, _ model: String,
    base: String?, teacher: String? = nil, mayStartAnew: Bool = false
  ) async throws -> (soft: Int, weights: Digest?) {
    let soft = Mutex(0)
    var recipe = recipe
    if let teacher { recipe.distillTeacher = try DistillationTeacher.digest(path: teacher).hex }
    var load: (@Sendable (FunctionSet) throws -> BaseModel)?
    if let base { load = { try BaseModel(folder: base + "/base", functions: $0) } }
    let store = CheckpointStore(folder: folder + "/checkpoints")
    try await TrainStage(
      log: log, names: names, model: model, recipe: recipe, functions: functions,
      base: load, teacher: teacher, checkpoints: store,
      mayStartAnew: mayStartAnew, logger: Fixtures.quiet
    ) { event in
      if case .round(let report, _, _) = event { soft.withLock { $0 += report.softSamples } }
    }.run(.untilIdle)
    let announced = try await TrainStage.announced(log: log, names: names, model: model)
    let digest = try #require(announced.progress?.digest)
    return (soft.withLock { $0 }, try Trainer(restoring: digest, from: store).weightsDigest)
  }
}
