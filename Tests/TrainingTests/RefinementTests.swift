import Foundation
import ModelFiles
import StudentModel
import Testing
import Tokenization
import Topics
import Training

/// What a branch does besides letting the rate fall: rejection sampling, reinforcement learning.
@Suite("Refinement", .serialized) struct RefinementTests {
  private static let recipe = Fixture.recipe {
    $0.decaySteps = 6
    $0.replayPerSample = 40
    $0.learningRate = 4e-3
    $0.sampleCount = 4
    $0.rftSteps = 3
    $0.rftRequests = 24
    $0.rlSteps = 4
    $0.rlRequests = 6
    $0.rlUpdates = 2
  }

  /// A trainer that has learned enough to be right now and then.
  static func trained(_ recipe: TrainingRecipe) throws -> Trainer {
    let trainer = try Trainer(recipe: recipe, functions: Fixture.functions())
    for (offset, input) in Fixture.stream().enumerated() { try trainer.consume(input, offset: Int64(offset)) }
    return trainer
  }

  private struct Killed: Error {}

  @Test(
    "A phase that is killed at any step and done again from the checkpoint has the same bytes, on any number of threads"
  )
  func kill() throws {
    let threads = KernelPool.threads
    defer { KernelPool.setThreads(threads) }
    KernelPool.setThreads(1)
    let whole = try Self.trained(Self.recipe)
    let trunk = whole.weightsDigest
    let branch = try whole.branch()
    let expected = Trainer.weightsDigest(of: branch.student)
    #expect(whole.weightsDigest == trunk, "the trunk stays as it is")
    try Fixture.withFolder { folder in
      let store = CheckpointStore(folder: folder)
      let saved = try whole.checkpoint(to: store)
      for (count, steps) in [(1, 2), (2, 7), (3, 10), (5, 12)] {
        KernelPool.setThreads(count)
        let killed = try Trainer(restoring: saved.digest, from: store, recipe: Self.recipe)
        var done = 0
        killed.progress = { _ in
          done += 1
          if done == steps { throw Killed() }
        }
        #expect(throws: Killed.self) { try killed.branch() }
        let resumed = try Trainer(restoring: saved.digest, from: store, recipe: Self.recipe)
        let again = try resumed.branch()
        #expect(Trainer.weightsDigest(of: again.student) == expected, "killed at step \(steps), \(count) threads")
        #expect(again.refinement == branch.refinement)
      }
    }
  }

  @Test("Every part changes the branch, and reports what it did; what is held out is never presented")
  func parts() throws {
    func run(_ change: (inout TrainingRecipe) -> Void) throws -> (StudentBranch, Set<String>) {
      var recipe = Self.recipe
      (recipe.rftSteps, recipe.rlSteps) = (0, 0)
      change(&recipe)
      let trainer = try Self.trained(recipe)
      var names: Set<String> = []
      trainer.observer = { names.formUnion($0) }
      return (try trainer.branch(), names)
    }
    let plain = try run { _ in }
    #expect(plain.0.refinement == RefinementReport())
    var digests: Set<Digest> = [Trainer.weightsDigest(of: plain.0.student)]
    let changes: [(inout TrainingRecipe) -> Void] = [
      { $0.rftSteps = 3 },
      { $0.rlSteps = 4 },
      { ($0.rlSteps, $0.rlAdvantage) = (4, .normalized) },
      { ($0.rlSteps, $0.rlUpdates) = (4, 1) },
      { ($0.rlSteps, $0.rlKL) = (4, 0) },
    ]
    for change in changes {
      let (branch, names) = try run(change)
      #expect(digests.insert(Trainer.weightsDigest(of: branch.student)).inserted)
      #expect(names.isDisjoint(with: ["r5", "r9", "r16", "r20", "r27", "r31"]))
      if let rejection = branch.refinement.rejection {
        #expect(rejection.requests == 24 && rejection.steps == 3 && rejection.joined > 0)
        #expect(rejection.joined + rejection.allRight + rejection.allWrong <= rejection.requests)
      } else {
        let reward = try #require(branch.refinement.reward)
        #expect(reward.steps == 4 && reward.usefulGroups > 0)
      }
    }
  }

  @Test("Answers learned from in several passes are learned from as in one")
  func accumulation() throws {
    func weights(_ steps: Int) throws -> [Float] {
      var recipe = Self.recipe
      (recipe.rftSteps, recipe.rlSteps, recipe.decaySteps, recipe.rlRate) = (0, 1, 0, 1e-2)
      let trainer = try Self.trained(recipe)
      recipe.accumulationSteps = steps
      let other = try Self.trained(recipe)
      // The trunks have seen the same batches in other passes: the same weights first.
      guard let from = trainer.student, let to = other.student else { return [] }
      _ = to.parameters.update(from: UnsafeBufferPointer(from.parameters))
      let student = try other.branch().student
      return Array(student.parameters)
    }
    let (one, three) = (try weights(1), try weights(3))
    let difference = zip(one, three).map { abs($0 - $1) }.max() ?? 1
    #expect(difference < 1e-3 && !one.isEmpty)
  }

  @Test("Reinforcement learning raises the reward of the answers that the student samples")
  func climbing() throws {
    var recipe = Self.recipe
    (recipe.rftSteps, recipe.rlSteps, recipe.rlRequests, recipe.rlRate, recipe.rlUpdates) = (0, 100, 8, 3e-3, 1)
    recipe.sampleCount = 8
    let reward = try #require(try Self.trained(recipe).branch().refinement.reward)
    #expect(reward.last > reward.first + 0.05, "\(reward)")
  }

  private static let refused = Call(name: "stop_all", arguments: [:])

  /// A trainer whose samples of `stop_all` bear the judgements, if any.
  private static func trained(_ recipe: TrainingRecipe, judged: [JudgedCall]) throws -> Trainer {
    let trainer = try Trainer(recipe: recipe, functions: Fixture.functions())
    for index in 0..<40 {
      var sample = Fixture.sample(index)
      if sample.call == refused {
        let record = SampleRecord(
          id: sample.id, messages: sample.messages, call: sample.call, split: .train, judged: judged)
        sample = try #require(TrainingSample(record))
      }
      try trainer.consume(.sample(sample), offset: Int64(index))
    }
    try trainer.consume(Fixture.cut(1), offset: 40)
    return trainer
  }

  /// The mean loss of the answers to the requests that `stop_all` is right for.
  private static func loss(of branch: StudentBranch, answering call: Call) throws -> Double {
    let encoder = try SampleEncoder(
      tokenizer: branch.tokenizer, functions: Fixture.functions(), maximumSequence: 96)
    var batch = PackedBatch()
    for index in 0..<40 where Fixture.sample(index).call == refused {
      guard case .success(let encoded) = encoder.encode(Fixture.sample(index).messages, call) else { continue }
      batch.append(prompt: encoded.prompt, completion: encoded.answer)
    }
    return try branch.student.loss(batch).meanLoss
  }

  @Test("A judgement of a call is its reward where the recipe says so: a call that was refused becomes unlikely")
  func judgedReward() throws {
    var recipe = Self.recipe
    (recipe.rftSteps, recipe.rlSteps, recipe.rlRequests, recipe.rlRate, recipe.rlUpdates) = (0, 60, 8, 3e-3, 1)
    // A student that is not sure yet, or all its answers would be alike.
    (recipe.sampleCount, recipe.rlKL, recipe.swapProbability, recipe.replayPerSample) = (8, 0, 0, 9)
    func loss(_ judge: TrainingRecipe.Judge, judged: [JudgedCall]) throws -> Double {
      recipe.sampleJudge = judge
      let branch = try Self.trained(recipe, judged: judged).branch()
      return try Self.loss(of: branch, answering: Self.refused)
    }
    let judged = [JudgedCall(call: Self.refused, score: 0, producer: "people")]
    let (label, recorded) = (try loss(.label, judged: judged), try loss(.recorded, judged: judged))
    let none = try loss(.recorded, judged: [])
    #expect(recorded > 1.3 * label, "\(recorded) against \(label)")
    #expect(try loss(.label, judged: []) == none, "where nobody has judged, the label does")
    let question = RefinementQuestion(
      id: "a", messages: [.user("stop")], call: Self.refused, weight: 1, judged: judged)
    #expect(question.reward(Self.refused, functions: try Fixture.functions()) == 0)
    #expect(question.reward(nil, functions: try Fixture.functions()) == -1)
  }

  @Test(
    "Judged answers are learned by rejection sampling whatever the label says; a phase killed is done again the same")
  func judgedAnswers() throws {
    var recipe = Self.recipe
    (recipe.rftSteps, recipe.rftRequests, recipe.sampleTemperature, recipe.sampleCount) = (6, 80, 3, 8)
    let question = RefinementQuestion(
      id: "a", messages: [.user("stop")], call: Self.refused, weight: 1,
      judged: [
        JudgedCall(call: Self.refused, score: 0, producer: "people"),
        JudgedCall(call: Call(name: "play", arguments: [:]), score: 1, producer: "verifier"),
      ])
    #expect(question.accepted(Self.refused) == nil && question.accepted(nil) == nil)
    #expect(question.accepted(Call(name: "play", arguments: [:]))?.call.name == "play")
    #expect(question.accepted(Call(name: "other", arguments: [:])) == nil)
    var plain: Set<Digest> = []
    for judge in TrainingRecipe.Judge.allCases {
      recipe.sampleJudge = judge
      let whole = try Self.trained(recipe, judged: question.judged)
      let expected = Trainer.weightsDigest(of: try whole.branch().student)
      plain.insert(expected)
      try Fixture.withFolder { folder in
        let store = CheckpointStore(folder: folder)
        let saved = try whole.checkpoint(to: store)
        let killed = try Trainer(restoring: saved.digest, from: store, recipe: recipe)
        var done = 0
        killed.progress = { _ in
          done += 1
          if done == recipe.decaySteps + recipe.rftSteps + 2 { throw Killed() }
        }
        #expect(throws: Killed.self) { try killed.branch() }
        let resumed = try Trainer(restoring: saved.digest, from: store, recipe: recipe)
        #expect(Trainer.weightsDigest(of: try resumed.branch().student) == expected)
      }
    }
    #expect(plain.count == 2)
  }

  @Test("Who cancels a release need not wait until all requests are answered")
  func cancelled() async throws {
    await #expect(throws: CancellationError.self) {
      try await Task {
        let trainer = try Self.trained(Self.recipe)
        withUnsafeCurrentTask { $0?.cancel() }
        _ = try trainer.branch()
      }.value
    }
  }

  @Test("Recipes refuse distillation without whole gradients, and say which keys there are")
  func recipes() throws {
    let teacher = String(repeating: "0", count: 64)
    let error = #expect(throws: TrainingError.self) {
      try TrainingRecipe(json: ["distill_teacher": .string(teacher), "clip_scope": "tensor"])
    }
    #expect(error?.found == teacher)
    for (key, value) in [
      ("rl_advantage", JSON.string("best")), ("distill_top", .integer(257)), ("sample_count", .integer(1)),
      ("distill_teacher", .string("folder")), ("distill_direction", .string("backward")), ("rl_kl", .number(2)),
    ] {
      #expect(throws: TrainingError.self) { try TrainingRecipe(json: .object([key: value])) }
    }
    let recipe = try TrainingRecipe(json: [
      "rl_steps": 10, "rl_advantage": "normalized", "distill_direction": "reverse",
    ])
    #expect(recipe.rlSteps == 10 && recipe.rlAdvantage == .normalized && recipe.distillDirection == .reverse)
    #expect(try TrainingRecipe(json: recipe.json) == recipe)
  }
}
