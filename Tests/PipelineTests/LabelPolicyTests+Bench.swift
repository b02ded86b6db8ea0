import Compression
import DemoWorld
import Foundation
import Logging
import MessageLog
import ModelFiles
import Pipeline
import Releases
import RetortClient
import SQLiteLog
import StudentModel
import Teacher
import Tokenization
import Topics

extension LabelPolicyTests {
  /// A log, and an untrained student that can be deployed with any calibration: so that it is as sure as a test wants.
  final class Bench {
    let folder: String
    let log: SQLiteLog
    let names = TopicNames()
    let key = SigningKey.generate()
    let functions: FunctionSet
    var policy = LabellingPolicy(auditShare: 0.1, heldOutShare: 0.5, confidence: 0.8, novelty: 1)

    init(requestPartitions: Int = 1) async throws {
      folder = FileManager.default.temporaryDirectory.appendingPathComponent("retort-\(UUID().uuidString)").path
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      // Nothing happens behind a test's back.
      log = try SQLiteLog(path: folder + "/log.db", options: .init(maintenanceInterval: nil))
      try await DeploymentTopics.ensure(log: log, names: names, requestPartitions: requestPartitions)
      functions = try HomeFunctions.functions()
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// - Parameter timestamp: the time of all of them; nil: that of their appending.
    func append(
      _ range: Range<Int>, prefix: String = "", partition: Int? = nil, timestamp: Int64? = nil
    ) async throws {
      let grammar = RequestGrammar(seed: 7)
      let records = range.map { index in
        var record = RecordCoding.record(
          RequestRecord(id: "\(prefix)\(index)", text: grammar.request(at: index).text), topic: names.requests,
          key: "\(prefix)\(index)", partition: partition)
        record.timestamp = timestamp
        return record
      }
      _ = try await log.append(records)
    }

    /// Labels all that waits; the teacher's statistics.
    ///
    /// - Parameters:
    ///   - hooked: the log with what happens at it.
    ///   - keys: gives the trusted keys, and is asked again at once where it fails.
    @discardableResult
    func label(
      selective: Bool = true, hooked: HookedLog? = nil, verifier: Verifier? = nil,
      keys: (@Sendable (TrustedKeys) throws -> TrustedKeys)? = nil
    ) async throws -> StandInStatistics {
      let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
      let standIn = StandInTeacher(faults: .none, seed: 1)
      let (functions, log, names, folder, policy) = (functions, log, names, folder, policy)
      let trusted = TrustedKeys([key.publicKey])
      return try await standIn.whileRunning { endpoint in
        var configuration = TeacherConfiguration(endpoint: endpoint + "/v1", model: StandInTeacher.model)
        configuration.cachePath = folder + "/cache.db"
        let teacher = try Teacher(
          task: TaskDefinition(
            instructions: HomeFunctions.instructions, functions: functions, verifier: verifier,
            trustedProducers: ["import"]),
          configuration: configuration, logger: logger)
        try await LabelStage(
          log: hooked ?? log, names: names, teacher: teacher, functions: functions, trustedProducers: ["import"],
          selection: selective
            ? LabelSelection(
              policy: policy, model: "home", store: ContentStore(folder: folder + "/store"),
              nextLook: keys == nil ? .seconds(60) : .zero
            ) { try keys?(trusted) ?? trusted }
            : nil,
          logger: logger, window: 64, transactionRecords: 40
        ).run(.untilIdle)
        await teacher.shutdown()
        return standIn.statistics
      }
    }

    /// Joins all feedback that waits.
    func join(
      _ feedback: [FeedbackRecord], scores: Bool = false, hooked: HookedLog? = nil, verifier: Verifier? = nil
    ) async throws {
      _ = try await log.append(
        feedback.map { RecordCoding.record($0, topic: names.feedback, key: $0.requestID) })
      let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
      let teacher = try Teacher(
        task: TaskDefinition(instructions: "", functions: functions, verifier: verifier),
        configuration: TeacherConfiguration(endpoint: nil), logger: logger)
      try await FeedbackStage(
        log: hooked ?? log, names: names, teacher: teacher, functions: functions,
        trustedProducers: ["people", AnswerJudging.producer], joinsScores: scores, logger: logger
      ).run(.untilIdle)
      await teacher.shutdown()
    }

    /// Deploys the untrained student; a calibration with a large positive intercept is sure of every valid answer.
    /// - Parameter expected: of what share of 100 development samples it is said to have been sure.
    func deploy(intercept: Double, epoch: Int64, expected: Double? = nil) async throws {
      let texts = RequestGrammar(seed: 7).requests(0..<50).map(\.text)
      let tokenizer = try Tokenizer.train(
        texts, vocabularySize: 400, spaceFused: 8, structure: CallCodec.structureTokens(for: functions))
      let student = try Student(
        configuration: DecoderConfiguration(
          vocabularySize: tokenizer.vocabularySize, hiddenSize: 32, layerCount: 1, headCount: 2, keyValueHeadCount: 1,
          feedForwardSize: 32, maximumPositions: 256), seed: 3)
      let path = folder + "/student.gguf"
      _ = try StudentFile.write(student, tokenizer: tokenizer, functions: functions, as: .q8, to: path)
      let bytes = [UInt8](FileManager.default.contents(atPath: path) ?? Data())
      let digest = try ContentStore(folder: folder + "/store").put(bytes)
      let manifest = try key.sign(
        Manifest(
          model: "home", version: Int(epoch),
          files: [
            ManifestFile(role: .weights, format: "gguf", bytes: Int64(bytes.count), sha256: digest, uri: "log:0")
          ],
          architecture: Architecture(
            layers: 1, hiddenSize: 32, heads: 2, keyValueHeads: 1, feedForwardSize: 32,
            vocabularySize: tokenizer.vocabularySize, maximumPositions: 256),
          parameters: 1, quantization: "q8_0", tokenizerDigest: tokenizer.digest, template: "retort-1",
          functionsDigest: functions.digest, minimumRuntime: "0.1.0",
          lineage: Lineage(
            base: nil, chain: .sha256([]), fromOffset: 0, toOffset: 1, samples: 1, recipe: .sha256([]), seed: 0,
            numerics: "n", code: "0.1.0", teachers: []),
          evidence: expected.map { [Evidence(metric: "sure_share", value: $0, n: 100, subject: .candidate)] } ?? [],
          confidenceCalibration: ConfidenceCalibration(slope: 0, intercept: intercept, n: 100), licence: "none",
          created: "2026-01-01T00:00:00Z"))
      let deployment = try key.sign(
        DeploymentRecord(
          epoch: epoch, action: .promote, manifest: manifest, reason: "test",
          time: RFC3339.text(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))))
      _ = try await log.append([RecordCoding.record(deployment, topic: names.models, key: "home")])
    }

    func samples() async throws -> [SampleRecord] {
      var samples: [SampleRecord] = []
      try await TopicScan.each(log: log, topic: names.samples) { record in
        samples.append(try RecordCoding.value(of: record, as: SampleRecord.self))
      }
      return samples
    }
  }
}
