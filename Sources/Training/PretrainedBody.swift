import ModelFiles
import StudentModel
public import Topics

/// The layers of a student that has learned to copy and to follow the structure of calls, from generated lessons alone.
///
/// It knows no vocabulary: its lessons' embeddings were drawn anew at every step, so that what it learned holds for the random
/// embeddings of any fresh student. A pure function of ``specification(of:)``.
public struct PretrainedBody: Sendable {
  /// The SHA-256 of specification and weights: the digest of the base that students name.
  public let digest: Digest
  /// All tensors but the embedding, in canonical order.
  package let weights: [Float]

  private static let tensor = "body"
  private static let metadataKey = "retort"

  private init(_ weights: [Float], recipe: TrainingRecipe) {
    self.weights = weights
    var stream = Digest.Stream()
    stream.update(Self.specification(of: recipe).canonical)
    weights.withUnsafeBytes { stream.update($0) }
    digest = stream.digest
  }

  /// The body of a recipe: read from the folder where it is there, else trained and put there.
  ///
  /// - Parameters:
  ///   - recipe: sizes, seed, `base_steps`, `base_batch_size` and `base_learning_rate` count.
  ///   - folder: where bodies are kept, named by their specification; `nil` keeps none.
  ///   - progress: called after every step; what it throws ends the work.
  /// - Throws: ``TrainingError`` `invalid_base` for a file that is not what its name says; `diverged`, `io`.
  public static func of(
    _ recipe: TrainingRecipe, folder: String?, progress: ((StepReport) throws -> Void)? = nil
  ) throws -> PretrainedBody {
    guard let folder else { return try train(recipe, progress: progress) }
    let path = path(of: recipe, in: folder)
    if FileSystem.exists(path) { return try read(path, recipe: recipe) }
    // Before the lessons, which would be lost where it cannot be made.
    try FileSystem.makeFolder(folder)
    let body = try train(recipe, progress: progress)
    try body.write(to: path, recipe: recipe)
    return body
  }

  /// Where a folder has the body of a recipe.
  public static func path(of recipe: TrainingRecipe, in folder: String) -> String {
    "\(folder)/\(Digest.sha256(specification(of: recipe).canonical).hex).safetensors"
  }

  /// All that decides what a body becomes.
  static func specification(of recipe: TrainingRecipe) -> JSON {
    let recipe = lessonRecipe(recipe)
    let all = recipe.json
    var object = JSONObject()
    object["format"] = "retort-body/1"
    object["lessons"] = .string(InventedCalls.version)
    object["numerics"] = .string(recipe.numerics)
    for key in keys { object[key] = all[key] }
    return .object(object)
  }

  private static let keys = [
    "hidden_size", "layer_count", "head_count", "key_value_head_count", "feed_forward_size", "rope_theta",
    "embedding_deviation", "linear_gain", "weight_decay", "beta1", "beta2", "epsilon", "clip_norm", "warmup_steps",
    "base_steps", "base_batch_size", "base_learning_rate", "seed",
  ]

  /// The recipe that lessons are learned with: no dropout, whole gradients, exact moments, bf16 products.
  private static func lessonRecipe(_ recipe: TrainingRecipe) -> TrainingRecipe {
    var lessons = TrainingRecipe()
    lessons.hiddenSize = recipe.hiddenSize
    lessons.layerCount = recipe.layerCount
    lessons.headCount = recipe.headCount
    lessons.keyValueHeadCount = recipe.keyValueHeadCount
    lessons.feedForwardSize = recipe.feedForwardSize
    lessons.ropeTheta = recipe.ropeTheta
    lessons.embeddingDeviation = recipe.embeddingDeviation
    lessons.linearGain = recipe.linearGain
    lessons.baseSteps = recipe.baseSteps
    lessons.baseBatchSize = recipe.baseBatchSize
    lessons.baseLearningRate = recipe.baseLearningRate
    lessons.seed = recipe.seed
    lessons.learningRate = recipe.baseLearningRate
    lessons.dropout = 0
    lessons.precision = .bf16
    // The same bits in less memory.
    lessons.recomputeActivations = recipe.recomputeActivations
    return lessons
  }

  private static func train(
    _ recipe: TrainingRecipe, progress: ((StepReport) throws -> Void)?
  ) throws -> PretrainedBody {
    let recipe = lessonRecipe(recipe)
    let seed = CounterRandom(seed: UInt64(recipe.seed), .inventedCalls).bits(0)
    let rows = EmbeddingRows(recipe)
    let student = try Student(
      configuration: recipe.configuration(vocabularySize: InventedCalls.vocabularySize), seed: seed,
      initialization: recipe.initialization, precision: recipe.precision)
    InductionCircuit.build(into: student)
    student.recomputesActivations = recipe.recomputeActivations == 1
    let optimizer = AdamW(layout: student.layout)
    let schedule = LearningRateSchedule(recipe)
    let fall = recipe.baseSteps / 4
    for step in 0..<recipe.baseSteps {
      let calls = InventedCalls(seed: seed, step: step)
      rows.write(calls, step: step, into: student.parameters(embedding(of: student)))
      var batch = PackedBatch()
      for index in 0..<recipe.baseBatchSize { batch.append(calls.lesson(index), weight: 1, promptShare: 0) }
      let steady = recipe.baseSteps - fall
      let rate =
        step < steady
        ? schedule.trunk(step: step) : schedule.decay(step: step - steady, of: fall, from: schedule.trunk(step: steady))
      let report = try learn(student, batch, optimizer, rate: rate, recipe: recipe)
      try progress?(
        StepReport(
          phase: .lessons, step: step + 1, steps: recipe.baseSteps, meanLoss: report.meanLoss, tokens: batch.rowCount,
          rate: rate))
    }
    return withExtendedLifetime(student) {
      PretrainedBody(Array(student.parameters[range(of: student)]), recipe: recipe)
    }
  }

  private static func learn(
    _ student: Student, _ batch: PackedBatch, _ optimizer: AdamW, rate: Double, recipe: TrainingRecipe
  ) throws -> LossReport {
    do {
      return try optimizer.learn(student, batch, rate: rate, recipe: recipe) { _ in nil }
    } catch let error as TrainingError where error.code == .diverged {
      throw TrainingError(
        .diverged, context: "lessons, \(error.context)", expected: error.expected, found: error.found,
        advice: "lower base_learning_rate, or set base_steps to 0")
    }
  }

  /// Makes the layers of a student of the same sizes so much of the body's, and what they were for the rest.
  ///
  /// - Parameter share: 0…1.
  func blend(into student: Student, share: Float) {
    let range = Self.range(of: student)
    precondition(range.count == weights.count, "a body belongs to the sizes of its recipe")
    let own = UnsafeMutableBufferPointer(rebasing: student.parameters[range])
    for index in own.indices { own[index] = share * weights[index] + (1 - share) * own[index] }
  }

  static func embedding(of student: Student) -> ParameterLayout.Entry { student.layout.entries[0] }

  /// All but the embedding, which comes first; a fresh student's output is tied to it.
  private static func range(of student: Student) -> Range<Int> {
    embedding(of: student).range.upperBound..<student.layout.count
  }
}

extension PretrainedBody {
  private func write(to path: String, recipe: TrainingRecipe) throws(TrainingError) {
    var writer = SafetensorsWriter()
    writer.metadata[Self.metadataKey] =
      JSON.object([
        "specification": Self.specification(of: recipe), "digest": .string(digest.hex),
      ]).text
    do throws(ModelFileError) {
      let result: Result<WrittenFile, ModelFileError> = weights.withUnsafeBufferPointer { weights in
        Result { () throws(ModelFileError) in
          try writer.add(Self.tensor, shape: [weights.count], weights)
          return try writer.write(to: path)
        }
      }
      _ = try result.get()
    } catch {
      throw TrainingError(error)
    }
  }

  private static func read(_ path: String, recipe: TrainingRecipe) throws(TrainingError) -> PretrainedBody {
    let weights: [Float]
    let header: JSON
    do {
      let file = try SafetensorsFile(path: path)
      header = try JSON.parse(file.metadata[metadataKey] ?? "{}")
      weights = try file.tensor(tensor).floats()
    } catch {
      throw refusal(path, "a pretrained body", "\(error)")
    }
    let (expected, stated) = (specification(of: recipe), header["specification"] ?? .null)
    guard stated.canonical == expected.canonical else { throw refusal(path, expected.text, stated.text) }
    let configuration = recipe.configuration(vocabularySize: InventedCalls.vocabularySize)
    let layout = ParameterLayout(configuration)
    let count = layout.count - layout.entries[0].count
    guard weights.count == count else { throw refusal(path, "\(count) weights", "\(weights.count)") }
    let body = PretrainedBody(weights, recipe: recipe)
    let named = header["digest"]?.stringValue ?? "none"
    guard named == body.digest.hex else { throw refusal(path, "the SHA-256 \(named.prefix(64))", body.digest.hex) }
    return body
  }

  private static func refusal(_ path: String, _ expected: String, _ found: String) -> TrainingError {
    TrainingError(
      .invalidBase, context: path, expected: expected, found: String(found.prefix(200)),
      advice: "delete the file, and it is made again")
  }
}
