import Compression
import Foundation
import ModelFiles
import StudentModel
import Tokenization
import Topics
import Training

/// A small task, its samples, and a student with random weights.
enum Fixture {
  static let functionsJSON: JSON = [
    [
      "type": "function",
      "function": [
        "name": "set_light", "description": "switches a light",
        "parameters": [
          "type": "object",
          "properties": ["room": ["type": "string"], "level": ["type": "integer"]], "required": ["room"],
          "additionalProperties": false,
        ],
      ],
    ]
  ]

  static func functions() throws -> FunctionSet { try FunctionSet(json: functionsJSON) }

  /// Half of the feed-forward channels stay, and recover in few steps.
  static func policy(
    _ change: (inout CompressionPolicy) throws -> Void = { _ in }
  ) rethrows -> CompressionPolicy {
    var policy = CompressionPolicy()
    policy.prune = PruningPlan(feedForwardKeep: 0.5)
    policy.recoverySteps = 20
    policy.batchSize = 8
    policy.learningRate = 2e-3
    try change(&policy)
    return policy
  }

  static func samples(_ count: Int, split: Split = .train) -> [TrainingSample] {
    let rooms = ["kitchen", "garden", "attic", "hall", "bath"]
    return (0..<count).map { index in
      let room = rooms[index % rooms.count]
      let call = Call(name: "set_light", arguments: ["room": .string(room), "level": .integer(Int64(index % 9))])
      let record = SampleRecord(
        id: "r\(index)", messages: [.user("set the \(room) light to \(index % 9)")], call: call, split: split)
      return TrainingSample(
        id: record.id, digest: record.digest, messages: record.messages, call: call, split: split)
    }
  }

  static func tokenizer() throws -> Tokenizer {
    try Tokenizer.train(
      samples(40).flatMap { $0.messages.map(\.content) }, vocabularySize: 352, spaceFused: 8,
      structure: CallCodec.structureTokens(for: functions()))
  }

  /// A tokenizer with the controls of ChatML in place of ours.
  static func chatML(structure: [String] = []) throws -> Tokenizer {
    let own = try Tokenizer.train(
      samples(40).flatMap { $0.messages.map(\.content) }, vocabularySize: 352, spaceFused: 8, structure: structure)
    let json = String(decoding: own.huggingFaceJSON, as: UTF8.self)
      .replacing("<|user|>", with: "<|im_start|>").replacing("<|assistant|>", with: "<|im_end|>")
    return try Tokenizer(huggingFace: Array(json.utf8))
  }

  /// A model to fine-tune that has ChatML and a template of its own; its tokenizer is ``chatML(structure:)`` where none is given.
  static func chatMLBase(
    tokenizer: Tokenizer? = nil, template: String, functions: FunctionSet, in folder: String
  ) throws -> BaseModel {
    let tokenizer = try tokenizer ?? chatML()
    let student = try Student(
      configuration: recipe().configuration(vocabularySize: tokenizer.vocabularySize), seed: 3)
    var description = StudentDescription()
    description.chatTemplate = template
    try StudentFile.writeFolder(
      student, tokenizer: tokenizer, functions: nil, description: description, to: "\(folder)/base")
    return try BaseModel(folder: "\(folder)/base", functions: functions)
  }

  /// A recipe that trains in a fraction of a second; ChatML's prompts are long in a small vocabulary.
  static func recipe() -> TrainingRecipe {
    var recipe = TrainingRecipe()
    recipe.hiddenSize = 32
    recipe.layerCount = 1
    recipe.headCount = 2
    recipe.keyValueHeadCount = 1
    recipe.feedForwardSize = 64
    recipe.vocabularySize = 320
    recipe.spaceFusedPieces = 8
    recipe.tokenizerSamples = 12
    recipe.maximumSequence = 256
    recipe.roundSize = 6
    recipe.replayPerSample = 2
    recipe.batchSize = 4
    recipe.warmupSteps = 5
    recipe.decaySteps = 4
    recipe.candidateSteps = 0
    recipe.baseSteps = 0
    return recipe
  }

  static func student(_ tokenizer: Tokenizer, feedForward: Int = 128, seed: UInt64 = 3) throws -> Student {
    try Student(
      configuration: DecoderConfiguration(
        vocabularySize: tokenizer.vocabularySize, hiddenSize: 32, layerCount: 2, headCount: 2, keyValueHeadCount: 1,
        feedForwardSize: feedForward, maximumPositions: 128),
      seed: seed)
  }

  /// A small deterministic training on the samples, so that there is something to lose.
  static func train(_ student: Student, _ tokenizer: Tokenizer, steps: Int) throws {
    let encoder = try SampleEncoder(tokenizer: tokenizer, functions: functions(), maximumSequence: 96)
    let optimizer = AdamW(layout: student.layout)
    let samples = samples(45)
    for step in 0..<steps {
      var batch = PackedBatch()
      for slot in 0..<8 {
        let encoded = try encoder.encode(samples[(step * 8 + slot) % samples.count]).get()
        batch.append(prompt: encoded.prompt, completion: encoded.answer)
      }
      _ = try student.forwardBackward(batch)
      try optimizer.apply(to: student, rate: 5e-3, recipe: TrainingRecipe())
    }
  }

  /// A temporary folder for the time of `body`.
  static func withFolder<T>(_ body: (String) throws -> T) throws -> T {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("compression-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: url) }
    return try body(url.path)
  }
}
