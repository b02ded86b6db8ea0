import StudentModel
import Testing
import Training

/// What a candidate gets however few samples there are: steps, and lessons in the requests themselves.
@Suite("Candidates of few samples") struct CandidateTests {
  private func trained(_ change: (inout TrainingRecipe) -> Void) throws -> Trainer {
    let trainer = try Trainer(recipe: Fixture.recipe(change), functions: Fixture.functions())
    for (index, input) in Fixture.stream().enumerated() { try trainer.consume(input, offset: Int64(index)) }
    return trainer
  }

  @Test(
    "A candidate has candidate_steps behind it: what the trunk has not taken comes at its rate, then the rate falls")
  func candidateSteps() throws {
    let trainer = try trained { $0.candidateSteps = 60 }
    let before = trainer.weightsDigest
    var rates: [Double] = []
    trainer.progress = { rates.append($0.rate) }
    let branch = try trainer.branch()
    #expect(branch.steps + trainer.steps == 60 && rates.count == branch.steps)
    let rate = trainer.recipe.learningRate
    #expect(trainer.steps > trainer.recipe.warmupSteps && rates.dropLast(4).allSatisfy { $0 == rate })
    #expect(zip(rates.suffix(4), rates.suffix(3)).allSatisfy { $0 > $1 })
    #expect(abs(rates.last.map { $0 / rate - trainer.recipe.finalRateShare } ?? 1) < 1e-9)
    #expect(trainer.weightsDigest == before)
  }

  @Test("A trunk with more steps than candidate_steps branches as without the key")
  func enoughSteps() throws {
    let plain = try trained { _ in }
    let asked = try trained { $0.candidateSteps = plain.steps + 4 }
    #expect(try asked.branch().steps == 4)
    #expect(
      try Trainer.weightsDigest(of: asked.branch().student) == Trainer.weightsDigest(of: plain.branch().student))
  }

  @Test("The rate falls over half as many steps as the trunk has taken, from 1,500 up to decay_steps")
  func fallingSteps() {
    var recipe = TrainingRecipe()
    #expect(
      [0, 1_000, 4_000, 12_691, 1_000_000].map(recipe.decaySteps(after:)) == [1_500, 1_500, 2_000, 6_000, 6_000])
    recipe.decaySteps = 400
    #expect(recipe.decaySteps(after: 12_691) == 400)
  }

  @Test("A loss on requests makes them likelier; killed and resumed, a trainer has the same weights")
  func promptLoss() throws {
    func requestLoss(_ trainer: Trainer) throws -> Double {
      let branch = try trainer.branch(steps: 200)
      let encoder = try SampleEncoder(
        tokenizer: branch.tokenizer, functions: Fixture.functions(), maximumSequence: 96)
      var batch = PackedBatch()
      for sample in trainer.trainingSamples {
        batch.append(tokens: try encoder.encode(sample).get().prompt)
      }
      return try branch.student.loss(batch).meanLoss
    }
    let plain = try trained { _ in }
    let sharing = try trained { $0.promptLossShare = 0.5 }
    let (shared, alone) = (try requestLoss(sharing), try requestLoss(plain))
    #expect(shared < 0.8 * alone, "\(shared) against \(alone) nats a token")
    try Fixture.withFolder { folder in
      let store = CheckpointStore(folder: folder)
      var current = try Trainer(recipe: sharing.recipe, functions: Fixture.functions())
      for (index, input) in Fixture.stream().enumerated() {
        try current.consume(input, offset: Int64(index))
        guard index % 7 == 3 else { continue }
        let saved = try current.checkpoint(to: store)
        current = try Trainer(restoring: saved.digest, from: store, recipe: sharing.recipe)
      }
      #expect(current.weightsDigest == sharing.weightsDigest)
    }
  }
}

extension PackedBatch {
  /// A text alone, each token predicted by the one before.
  fileprivate mutating func append(tokens: [Int32]) {
    append(tokens: Array(tokens.dropLast()), targets: Array(tokens.dropFirst()))
  }
}
