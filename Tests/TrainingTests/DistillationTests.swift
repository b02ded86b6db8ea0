import Foundation
import ModelFiles
import StudentModel
import Testing
import Tokenization
import Topics
import Training

/// Learning from a larger model: from its distributions on the labels, and on answers of the student's own.
@Suite("Distillation", .serialized) struct DistillationTests {
  private struct Killed: Error {}

  @Test("A teacher in a folder moves the branch towards it; one of other tokens is refused by both digests")
  func distillation() throws {
    let teacher = try RefinementTests.trained(Fixture.recipe { ($0.hiddenSize, $0.replayPerSample) = (64, 40) })
    try Fixture.withFolder { folder in
      try Self.write(try teacher.branch(), to: folder)
      let model = try DistillationTeacher(path: folder, tokenizer: try #require(teacher.tokenizer))
      func divergence(_ change: (inout TrainingRecipe) -> Void) throws -> Double {
        var recipe = Fixture.recipe { ($0.decaySteps, $0.replayPerSample, $0.learningRate) = (60, 40, 4e-3) }
        change(&recipe)
        let trainer = try RefinementTests.trained(recipe)
        let student = try trainer.branch(teacher: model).student
        return try Self.divergence(student, from: model, on: trainer)
      }
      let plain = try divergence { _ in }
      for direction in DistillationLoss.Direction.allCases {
        let near = try divergence {
          ($0.distillTeacher, $0.distillWeight, $0.distillDirection) = (model.digest.hex, 1, direction)
        }
        let top = try divergence {
          ($0.distillTeacher, $0.distillWeight, $0.distillDirection) = (model.digest.hex, 1, direction)
          $0.distillTop = 4
        }
        #expect(near < 0.9 * plain && top < 0.9 * plain && top != near, "\(direction): \(near), \(top), \(plain)")
      }
      let others = try RefinementTests.trained(
        Fixture.recipe { ($0.vocabularySize, $0.spaceFusedPieces, $0.distillTeacher) = (310, 4, model.digest.hex) })
      let error = #expect(throws: TrainingError.self) { try others.branch(teacher: model) }
      let tokens = try #require(others.tokenizer?.digest.hex)
      #expect(error?.description.contains(model.tokenizer.digest.hex) == true && "\(error as Any)".contains(tokens))
      #expect(throws: TrainingError.self) { try others.branch() }
      let another = try RefinementTests.trained(
        Fixture.recipe { $0.distillTeacher = String(repeating: "0", count: 64) })
      #expect(throws: TrainingError.self) { try another.branch(teacher: model) }
    }
  }

  @Test(
    "A teacher of the student's tokens whose rows are padded further, or less far, teaches it with the student's rows")
  func paddedTeacher() throws {
    try Fixture.withFolder { folder in
      let functions = try Fixture.functions()
      let plain = try Fixture.base(in: folder + "/plain")
      let padded = try Fixture.base(in: folder + "/padded", padding: 256)
      for (base, path) in [(plain, padded), (padded, plain)] {
        let digest = try DistillationTeacher.digest(path: path)
        let trainer = try Trainer(
          recipe: Fixture.recipe { $0.distillTeacher = digest.hex }, functions: functions,
          base: BaseModel(folder: base, functions: functions))
        for (offset, input) in Fixture.stream().enumerated() { try trainer.consume(input, offset: Int64(offset)) }
        let rows = try #require(trainer.configuration?.vocabularySize)
        #expect(try BaseModel(folder: path, functions: functions).configuration.vocabularySize != rows)
        let load: DistillationTeacher.Loader = { try DistillationTeacher(path: path, tokenizer: $0, rows: $1) }
        let teacher = try #require(try trainer.teacher(load))
        #expect(teacher.student.configuration.vocabularySize == rows && teacher.digest == digest)
        // The rows of text are the folder's own.
        let embedding = try HuggingFaceFolder.read(path).tensor("model.embed_tokens.weight").floats()
        let own = try Tokenizer(huggingFace: try #require(HuggingFaceFolder.read(path).tokenizerJSON)).vocabularySize
        let entry = try #require(teacher.student.layout["model.embed_tokens.weight"])
        #expect(Array(teacher.student.parameters(entry).prefix(own * 32)) == Array(embedding.prefix(own * 32)))
        #expect(try trainer.branch(teacher: teacher).finalLoss.isFinite)
      }
    }
  }

  @Test("Whether a model can teach is known without its weights: it must have the student's tokens, and read as far")
  func unsuitableTeacher() throws {
    try Fixture.withFolder { folder in
      let path = try Fixture.base(in: folder)
      let plain = try Tokenizer(huggingFace: try #require(HuggingFaceFolder.read(path).tokenizerJSON))
      let student = try plain.adding(structure: CallCodec.structureTokens(for: Fixture.functions()))
      let requests = (0..<24).map { Fixture.sample($0).messages[0].content }
      let others = try Tokenizer.train(requests, vocabularySize: 310, spaceFused: 4, structure: [])
      func problem(_ tokenizer: Tokenizer, _ positions: Int) -> TrainingError? {
        #expect(throws: TrainingError.self) {
          try DistillationTeacher.check(path: path, tokenizer: tokenizer, positions: positions)
        }
      }
      for tokenizer in [plain, student] {
        try DistillationTeacher.check(path: path, tokenizer: tokenizer, positions: 96)
        let short = problem(tokenizer, 97)
        #expect(short?.code == .invalidBase && short?.found == "96", "\(short as Any)")
      }
      let strange = problem(others, 96)
      #expect(strange?.code == .invalidBase && strange?.found == plain.textDigest.hex, "\(strange as Any)")
      #expect(strange?.expected.contains(others.digest.hex) == true)
      // One that has the structure tokens which the student will gain teaches; one that has them in another order does not.
      let texts = student.structureTexts
      try Data(student.huggingFaceJSON).write(to: URL(fileURLWithPath: path + "/tokenizer.json"))
      let early = try plain.adding(structure: Array(texts.prefix(texts.count / 2)))
      try DistillationTeacher.check(path: path, tokenizer: early, positions: 96)
      #expect(problem(try plain.adding(structure: texts.reversed()), 96)?.code == .invalidBase)
    }
  }

  @Test("A teacher that reads shorter sequences than the student learns is refused before the first step")
  func shortTeacher() throws {
    let teacher = try RefinementTests.trained(Fixture.recipe { $0.maximumSequence = 64 })
    try Fixture.withFolder { folder in
      try Self.write(try teacher.branch(), to: folder)
      let model = try DistillationTeacher(path: folder, tokenizer: try #require(teacher.tokenizer))
      let trainer = try RefinementTests.trained(Fixture.recipe { $0.distillTeacher = model.digest.hex })
      var steps = 0
      trainer.progress = { _ in steps += 1 }
      let error = #expect(throws: TrainingError.self) { try trainer.branch(teacher: model) }
      #expect(error?.code == .invalidBase && steps == 0)
      let text = error?.description ?? ""
      #expect(text.contains("at least the 96 ") && text.contains("64"))
      let shorter = try RefinementTests.trained(
        Fixture.recipe { ($0.maximumSequence, $0.distillTeacher) = (64, model.digest.hex) })
      #expect(try shorter.branch(teacher: model).finalLoss.isFinite)
    }
  }

  @Test(
    "On-policy distillation nears the teacher where the student goes by itself; killed and resumed it has the same bytes"
  )
  func onPolicyDistillation() throws {
    let threads = KernelPool.threads
    defer { KernelPool.setThreads(threads) }
    KernelPool.setThreads(1)
    let teacher = try RefinementTests.trained(Fixture.recipe { ($0.hiddenSize, $0.replayPerSample) = (64, 40) })
    try Fixture.withFolder { folder in
      try Self.write(try teacher.branch(), to: folder)
      let model = try DistillationTeacher(path: folder, tokenizer: try #require(teacher.tokenizer))
      for direction in DistillationLoss.Direction.allCases {
        let recipe = Fixture.recipe {
          ($0.decaySteps, $0.replayPerSample, $0.learningRate) = (6, 40, 4e-3)
          ($0.distillTeacher, $0.distillWeight, $0.distillDirection) = (model.digest.hex, 0, direction)
          ($0.distillSteps, $0.distillRequests, $0.distillRate) = (120, 16, 1e-3)
        }
        let trainer = try RefinementTests.trained(recipe)
        let trunk = trainer.weightsDigest
        let branch = try trainer.branch(teacher: model)
        #expect(trainer.weightsDigest == trunk)
        let plain = try RefinementTests.trained(Self.without(recipe)).branch(teacher: model)
        let (before, after) = (
          try Self.divergence(plain.student, from: model, on: trainer),
          try Self.divergence(branch.student, from: model, on: trainer)
        )
        #expect(branch.refinement.imitation?.steps == 120 && plain.refinement.imitation == nil)
        #expect(after < 0.9 * before, "\(direction): \(after) instead of \(before)")
        let store = CheckpointStore(folder: folder + "/\(direction)")
        let saved = try trainer.checkpoint(to: store)
        KernelPool.setThreads(3)
        let killed = try Trainer(restoring: saved.digest, from: store, recipe: recipe)
        var done = 0
        killed.progress = { _ in
          done += 1
          if done == 20 { throw Killed() }
        }
        #expect(throws: Killed.self) { try killed.branch(teacher: model) }
        let again = try Trainer(restoring: saved.digest, from: store, recipe: recipe).branch(teacher: model)
        #expect(Trainer.weightsDigest(of: again.student) == Trainer.weightsDigest(of: branch.student))
        #expect(again.refinement == branch.refinement)
        KernelPool.setThreads(1)
      }
    }
    for teacher in ["", TrainingRecipe.samples] {
      #expect(throws: TrainingError.self) {
        try TrainingRecipe(json: ["distill_steps": 5, "distill_teacher": .string(teacher)])
      }
    }
  }

  @Test("A student of a base writes no further than it learns, which a teacher that reads no more can follow")
  func onPolicyShortTeacher() throws {
    try Fixture.withFolder { folder in
      let functions = try Fixture.functions()
      let base = try Fixture.base(in: folder)
      func model() throws -> BaseModel { try BaseModel(folder: base, functions: functions) }
      let encoder = try SampleEncoder(tokenizer: model().tokenizer, functions: functions, maximumSequence: 96)
      let longest = try #require((0..<30).map { try encoder.encode(Fixture.sample($0)).get().count }.max())
      // The base itself, said to read no more than what is learned: an answer twice as long as a label goes beyond.
      let path = folder + "/teacher"
      try FileManager.default.copyItem(atPath: base, toPath: path)
      let file = URL(fileURLWithPath: path + "/config.json")
      var sizes = try #require(try JSON.parse([UInt8](Data(contentsOf: file))).objectValue)
      sizes["max_position_embeddings"] = .integer(Int64(longest))
      try Data(JSON.object(sizes).bytes).write(to: file)
      let digest = try DistillationTeacher.digest(path: path).hex
      let recipe = Fixture.recipe {
        ($0.maximumSequence, $0.learningRate) = (longest, 1e-9)
        ($0.distillTeacher, $0.distillWeight) = (digest, 0)
        ($0.distillSteps, $0.distillRequests, $0.distillRate) = (3, 16, 1e-3)
      }
      let trainer = try Trainer(recipe: recipe, functions: functions, base: model())
      for (offset, input) in Fixture.stream().enumerated() { try trainer.consume(input, offset: Int64(offset)) }
      let teacher = try DistillationTeacher(path: path, tokenizer: try #require(trainer.tokenizer))
      #expect(teacher.student.configuration.maximumPositions == longest)
      #expect(try model().configuration.maximumPositions > longest)
      #expect(try #require(trainer.configuration).maximumPositions == longest)
      #expect(try trainer.branch(teacher: teacher).refinement.imitation?.steps == 3)
    }
  }

  private static func without(_ recipe: TrainingRecipe) -> TrainingRecipe {
    var recipe = recipe
    recipe.distillSteps = 0
    return recipe
  }

  /// Σ KL(teacher ‖ student) over the tokens of the labels, in nats.
  private static func divergence(
    _ student: Student, from model: DistillationTeacher, on trainer: Trainer
  ) throws -> Double {
    let encoder = try SampleEncoder(tokenizer: model.tokenizer, functions: Fixture.functions(), maximumSequence: 96)
    var batch = PackedBatch()
    for sample in trainer.trainingSamples {
      if case .success(let encoded) = encoder.encode(sample) {
        batch.append(prompt: encoded.prompt, completion: encoded.answer)
      }
    }
    return try model.student.forward(batch).withUnsafeBufferPointer {
      try student.loss(batch, teacherLogits: $0).divergenceSum
    }
  }

  private static func write(_ branch: StudentBranch, to folder: String) throws {
    let student = branch.student
    let end = branch.tokenizer.controls.endOfText
    _ = try HuggingFaceFolder.write(
      folder, configuration: student.configuration,
      parameters: student.layout.entries.map {
        (name: $0.name, shape: $0.shape, values: UnsafeBufferPointer(student.parameters($0)))
      },
      tokenizer: HuggingFaceFolder.TokenizerFiles(
        json: branch.tokenizer.huggingFaceJSON, chatTemplate: CallCodec.chatTemplate,
        endOfText: (id: Int(end), text: branch.tokenizer.ggufTokens[Int(end)])))
  }
}
