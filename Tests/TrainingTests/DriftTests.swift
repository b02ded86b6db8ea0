import StudentModel
import Testing
import Tokenization
import Topics
import Training

@Suite("Drifting traffic and rare functions") struct DriftTests {
  /// Right on requests with a number below a limit; wrong on the others.
  private struct Scripted: CallPredictor {
    let limit: Int

    func predict(
      _ requests: [[ChatMessage]], student: Student, tokenizer: Tokenizer, functions: FunctionSet
    ) throws -> [Call?] {
      requests.map { messages in
        let number = Int(messages[0].content.split(separator: " ").last ?? "") ?? 0
        return number < limit ? Call(name: "stop_all", arguments: [:]) : nil
      }
    }
  }

  private static let recipe = Fixture.recipe {
    $0.replayPerSample = 0
    $0.releaseEvery = 60
    $0.driftConfidence = 0.05
    $0.driftSamples = 60
    $0.driftReleaseShare = 0.25
  }

  private static func sample(_ index: Int, audited: Bool = true, drifting: Bool = false) -> TrainingInput {
    let record = SampleRecord(
      id: "n\(index)", messages: [.user("stop everything in the house number \(index)")],
      call: Call(name: "stop_all", arguments: [:]), split: .train, audited: audited,
      drifting: drifting)
    return TrainingInput(record)
  }

  /// The samples learned at each release point of a stream of 240 that is predicted wrongly from 120 on.
  private static func releases(
    recipe: TrainingRecipe = recipe, audited: (Int) -> Bool = { _ in true }, drifting: (Int) -> Bool = { _ in false },
    interrupting folder: String? = nil
  ) throws -> (points: [Int], trainer: Trainer) {
    var trainer = try Trainer(recipe: recipe, functions: Fixture.functions())
    trainer.predictor = Scripted(limit: 120)
    var points: [Int] = []
    for index in 0..<240 {
      for event in try trainer.consume(
        sample(index, audited: audited(index), drifting: drifting(index)), offset: Int64(index))
      {
        if case .releasePoint(let point) = event { points.append(point.samplesLearned) }
      }
      if let folder, index % 50 == 49 {
        let store = CheckpointStore(folder: folder)
        trainer = try Trainer(restoring: trainer.checkpoint(to: store).digest, from: store, recipe: recipe)
        trainer.predictor = Scripted(limit: 120)
      }
    }
    return (points, trainer)
  }

  @Test("When audited samples are predicted worse, releases come sooner for a while; and it is over after that")
  func drift() throws {
    let (points, trainer) = try Self.releases()
    #expect(points.prefix(2) == [60, 120])
    // Found within 24 outcomes of the change, then a point every 15 samples, rounds being of 6.
    let next = try #require(points.dropFirst(2).first)
    #expect((126...150).contains(next), "\(points)")
    #expect(points.count >= 6, "\(points)")
    // Once more at most: what is left of the old part in the window may be found after the first drift has ended.
    #expect((1...2).contains(trainer.drifts))
    #expect(trainer.prequential.exact == 120)
  }

  @Test("What the labelling policy chose out of interest is no sign of drift")
  func unaudited() throws {
    let (points, trainer) = try Self.releases { $0 < 120 }
    #expect(points == [60, 120, 180, 240])
    #expect(trainer.drifts == 0 && !trainer.isDrifting)
  }

  @Test(
    "How well a student predicts is said of audited samples: what was chosen out of interest is harder than the traffic"
  )
  func prequential() throws {
    // Every other sample is audited; after 120, which are predicted rightly, come 120 that are not, and of these none is.
    let (_, trainer) = try Self.releases { $0 < 120 && $0.isMultiple(of: 2) }
    #expect(trainer.prequential == PredictionTally(count: 60, exact: 60, functions: 60))
    // The last rounds had no audited sample.
    #expect(trainer.recentPrequential.score == nil)
  }

  @Test(
    "Labelled selectively it is drift where samples say so, for a while after the last that does; not if nothing is watched"
  )
  func told() throws {
    let (points, trainer) = try Self.releases(audited: { $0 < 120 }, drifting: { (126..<138).contains($0) })
    // From the round in which it is said until 60 samples after the last such round, a point every 15, rounds being of 6.
    #expect(points.prefix(3) == [60, 120, 138], "\(points)")
    #expect(points.count >= 6 && points.last.map { $0 > 190 } == true, "\(points)")
    #expect(trainer.drifts == 1 && !trainer.isDrifting)
    let deaf = try Self.releases(
      recipe: Fixture.recipe {
        $0 = Self.recipe; $0.driftConfidence = 0
      }, audited: { $0 < 120 }, drifting: { $0 > 126 })
    #expect(deaf.points == [60, 120, 180, 240])
  }

  @Test("What samples say of drift survives a restart before any of them was predicted")
  func toldAndInterrupted() throws {
    try Fixture.withFolder { folder in
      let whole = try Self.releases(audited: { _ in false }, drifting: { (30..<36).contains($0) })
      let interrupted = try Self.releases(
        audited: { _ in false }, drifting: { (30..<36).contains($0) }, interrupting: folder)
      #expect(whole.points == interrupted.points && whole.points.first.map { $0 < 60 } == true, "\(whole.points)")
      #expect(whole.trainer.weightsDigest == interrupted.trainer.weightsDigest)
      #expect(whole.trainer.state == interrupted.trainer.state)
    }
  }

  @Test("The detector is part of the checkpoint: interrupted anywhere, the same points and the same weights come out")
  func interrupted() throws {
    try Fixture.withFolder { folder in
      let whole = try Self.releases()
      let interrupted = try Self.releases(interrupting: folder)
      #expect(whole.points == interrupted.points)
      #expect(whole.trainer.weightsDigest == interrupted.trainer.weightsDigest)
      #expect(whole.trainer.state == interrupted.trainer.state)
    }
  }

  @Test(
    "A sample says in its digest and its stored form if it is not audited, and if traffic drifted; else it says nothing"
  )
  func stored() throws {
    guard case .sample(let plain) = Self.sample(1), case .sample(let chosen) = Self.sample(1, audited: false) else {
      Issue.record("no samples")
      return
    }
    guard case .sample(let drifting) = Self.sample(1, drifting: true) else {
      Issue.record("no sample")
      return
    }
    #expect(Set([plain.digest, chosen.digest, drifting.digest]).count == 3)
    #expect(plain.json["drifting"] == nil)
    #expect(TrainingSample(json: drifting.json) == drifting && drifting.drifting)
    #expect(plain.json["audited"] == nil)
    #expect(TrainingSample(json: chosen.json) == chosen)
    #expect(TrainingSample(json: plain.json) == plain)
  }

  @Test("Balanced draws give every function its share; without balance the draws are those of before")
  func balanced() {
    let functions = [Array(0..<990), Array(990..<1_000)]
    func rare(_ balance: Double) -> (share: Double, draws: [Int]) {
      let plan = BatchPlan(
        recipe: Fixture.recipe {
          $0.replayPerSample = 99; $0.batchSize = 100; $0.replayBalance = balance
        })
      var draws: [Int] = []
      for step in 0..<100 {
        draws += plan.indices(
          round: 2, step: step, of: 100, newSamples: 100, learned: 1_000, functions: functions,
          presentations: { _ in 0 }
        ).dropFirst()
      }
      return (Double(draws.count { $0 >= 990 }) / Double(draws.count), draws)
    }
    // A hundredth of all samples; of balanced draws one half. Four standard errors of 9,900 draws are 2 points.
    #expect(abs(rare(0).share - 0.01) < 0.004)
    #expect(abs(rare(1).share - 0.5) < 0.02)
    #expect(abs(rare(0.5).share - 0.255) < 0.02)
    let plan = BatchPlan(
      recipe: Fixture.recipe {
        $0.replayPerSample = 99; $0.batchSize = 100
      })
    let before = (0..<100).flatMap { step in
      plan.indices(round: 2, step: step, of: 100, newSamples: 100, learned: 1_000, presentations: { _ in 0 })
        .dropFirst()
    }
    #expect(rare(0).draws == before)
  }
}
