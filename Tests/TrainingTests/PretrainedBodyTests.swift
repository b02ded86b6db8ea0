import Foundation
import StudentModel
import Testing
import Tokenization
import Topics
import Training

@Suite("Pretrained bodies", .serialized) struct PretrainedBodyTests {
  private let recipe = Fixture.recipe {
    $0.layerCount = 2
    $0.baseSteps = 3
    $0.baseBatchSize = 2
  }

  @Test("Lessons are a function of seed, step and number; every answer is a call whose values stand in the request")
  func lessons() {
    for step in 0..<8 {
      let calls = InventedCalls(seed: 5, step: step)
      for index in 0..<12 {
        let lesson = calls.lesson(index)
        let again = InventedCalls(seed: 5, step: step).lesson(index)
        #expect(lesson.prompt == again.prompt && lesson.answer == again.answer)
        let (prompt, answer) = (lesson.prompt.map(Int.init), lesson.answer.map(Int.init))
        #expect(prompt.first == 1 && prompt.last == 5 && answer.last == 0)
        #expect((InventedCalls.firstFunction..<InventedCalls.firstKey).contains(answer[0]))
        #expect((InventedCalls.firstKey..<InventedCalls.firstKey + InventedCalls.keyCount).contains(answer[1]))
        #expect((prompt + answer).allSatisfy { $0 < InventedCalls.vocabularySize })
        // A piece is heard as it is, or with the space in front.
        let values = answer.filter { (InventedCalls.firstPiece..<InventedCalls.firstFunction).contains($0) }
        let heard = Set(prompt)
        #expect(
          values.allSatisfy { heard.contains($0) || heard.contains($0 + InventedCalls.pieceCount) })
        #expect(!values.isEmpty)
      }
    }
    #expect(InventedCalls(seed: 5, step: 0).lesson(0).prompt != InventedCalls(seed: 6, step: 0).lesson(0).prompt)
  }

  @Test("A body has the same bytes whatever the threads, and another seed makes another")
  func deterministic() throws {
    let before = KernelPool.threads
    defer { KernelPool.setThreads(before) }
    KernelPool.setThreads(1)
    let one = try PretrainedBody.of(recipe, folder: nil)
    KernelPool.setThreads(2)
    let two = try PretrainedBody.of(recipe, folder: nil)
    #expect(one.digest == two.digest && one.weights == two.weights)
    var other = recipe
    other.seed = 8
    #expect(try PretrainedBody.of(other, folder: nil).digest != one.digest)
    var sparing = recipe
    sparing.recomputeActivations = 1
    #expect(try PretrainedBody.of(sparing, folder: nil).digest == one.digest)
  }

  @Test("A kept body is read back, an interrupted one leaves nothing, and a damaged one is refused")
  func kept() throws {
    struct Stop: Error {}
    try Fixture.withFolder { folder in
      let path = PretrainedBody.path(of: recipe, in: folder)
      #expect(throws: Stop.self) { try PretrainedBody.of(recipe, folder: folder) { if $0.step == 2 { throw Stop() } } }
      #expect(!FileManager.default.fileExists(atPath: path))
      let made = try PretrainedBody.of(recipe, folder: folder)
      let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
      let read = try PretrainedBody.of(recipe, folder: folder) { _ in Issue.record("it is there already") }
      #expect(read.digest == made.digest && read.weights == made.weights)
      for position in [bytes.count - 1, bytes.count / 2, 40] {
        var damaged = bytes
        damaged[position] ^= 1
        try damaged.write(to: URL(fileURLWithPath: path))
        let error = #expect(throws: TrainingError.self) { _ = try PretrainedBody.of(recipe, folder: folder).digest }
        #expect(error?.code == .invalidBase)
      }
      try bytes.prefix(100).write(to: URL(fileURLWithPath: path))
      #expect(throws: TrainingError.self) { _ = try PretrainedBody.of(recipe, folder: folder).digest }
    }
  }

  /// A trainer whose student has just started.
  private func started(_ change: (inout TrainingRecipe) -> Void, folder: String? = nil) throws -> Trainer {
    var recipe = recipe
    change(&recipe)
    let trainer = try Trainer(recipe: recipe, functions: try Fixture.functions())
    trainer.bodyFolder = folder
    for index in 0..<recipe.tokenizerSamples {
      try trainer.enqueue(.sample(Fixture.sample(index)), offset: Int64(index))
    }
    #expect(trainer.baseDigest == nil)
    guard case .started = try trainer.advance() else {
      Issue.record("the student starts first")
      return trainer
    }
    return trainer
  }

  private func layers(of trainer: Trainer) throws -> [Float] {
    let student = try #require(trainer.student)
    return withExtendedLifetime(student) {
      Array(student.parameters[student.layout.entries[0].range.upperBound...])
    }
  }

  @Test(
    "A student starts from base_share of a body and random layers for the rest, names it, and resumes to the same bytes"
  )
  func student() throws {
    try Fixture.withFolder { folder in
      let body = try PretrainedBody.of(recipe, folder: nil)
      let random = try layers(of: started({ $0.baseSteps = 0 }))
      let none = try started { $0.baseShare = 0 }
      #expect(try layers(of: none) == random && none.baseDigest == nil)
      #expect(try layers(of: started({ $0.baseShare = 1 })) == body.weights)
      let trainer = try started({ $0.baseShare = 0.25 }, folder: folder)
      #expect(trainer.baseDigest == body.digest)
      #expect(try layers(of: trainer) == zip(body.weights, random).map { 0.25 * $0 + 0.75 * $1 })
      let store = CheckpointStore(folder: folder + "/checkpoints")
      let saved = try trainer.checkpoint(to: store)
      let copy = try Trainer(restoring: saved.digest, from: store)
      #expect(copy.baseDigest == body.digest)
      while try trainer.advance() != nil {}
      while try copy.advance() != nil {}
      #expect(copy.weightsDigest == trainer.weightsDigest)
    }
  }

  @Test("A student that begins with more than base_until samples starts from random layers")
  func manySamples() throws {
    let few = try started { $0.baseUntil = $0.tokenizerSamples }
    let many = try started { $0.baseUntil = $0.tokenizerSamples - 1 }
    #expect(few.baseDigest != nil && many.baseDigest == nil)
    #expect(try layers(of: many) == layers(of: started({ $0.baseSteps = 0 })))
  }

  @Test("Lessons count among the steps behind a candidate, also after a restart")
  func lessonsCount() throws {
    try Fixture.withFolder { folder in
      let store = CheckpointStore(folder: folder)
      func steps(_ change: (inout TrainingRecipe) -> Void) throws -> Int {
        let trainer = try started {
          $0.candidateSteps = 30
          change(&$0)
        }
        while try trainer.advance() != nil {}
        let restored = try Trainer(restoring: trainer.checkpoint(to: store).digest, from: store)
        let (branch, again) = (try trainer.branch(), try restored.branch())
        #expect(branch.steps == again.steps)
        #expect(Trainer.weightsDigest(of: branch.student) == Trainer.weightsDigest(of: again.student))
        return trainer.steps + branch.steps
      }
      let (taught, plain) = (try steps { _ in }, try steps { $0.baseSteps = 0 })
      #expect(taught == 30 - recipe.baseSteps && plain == 30)
    }
  }

  @Test("Structure tokens name what they open, and their rows are made of the pieces of these names")
  func rows() throws {
    let functions = try Fixture.functions()
    let trainer = try Trainer(recipe: recipe, functions: functions)
    for index in 0..<recipe.tokenizerSamples {
      try trainer.enqueue(.sample(Fixture.sample(index)), offset: Int64(index))
    }
    _ = try trainer.advance()
    let (student, tokenizer) = (try #require(trainer.student), try #require(trainer.tokenizer))
    let width = recipe.hiddenSize
    func row(_ id: Int32) -> [Float] { Array(student.parameters[Int(id) * width..<(Int(id) + 1) * width]) }
    let key = try #require(tokenizer.structure(StructureTokens.key("room", .string)))
    let parts = tokenizer.encode("room")
    let shared = EmbeddingRows(recipe).values(.key(.string))
    for channel in 0..<width {
      let sum = parts.reduce(Float(0)) { $0 + row($1)[channel] }
      let expected = (shared[channel] + sum / Float(parts.count).squareRoot()) / Float(2).squareRoot()
      #expect(abs(row(key)[channel] - expected) < 1e-6)
    }
    let end = try #require(tokenizer.control("<|endoftext|>"))
    #expect(row(end) == EmbeddingRows(recipe).values(.endOfText))
    #expect(StructureTokens.named(StructureTokens.opening("set_light"))?.name == "set_light")
    #expect(StructureTokens.named(StructureTokens.key("a\"b", .strings))?.name == "a\"b")
    #expect(StructureTokens.closers.allSatisfy { StructureTokens.named($0) == nil })
  }
}
