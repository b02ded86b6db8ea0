import ModelFiles
import StudentModel
import Testing
import Topics
import Training

@Suite("Incremental training", .serialized) struct TrainerTests {
  /// Runs the whole fixture stream and returns the trunk's and the last branch's weights by digest.
  private func run(
    _ inputs: [TrainingInput], recipe: TrainingRecipe = Fixture.recipe(), prepare: (Trainer) -> Void = { _ in }
  ) throws -> (trainer: Trainer, events: [TrainerEvent]) {
    let trainer = try Trainer(recipe: recipe, functions: try Fixture.functions())
    prepare(trainer)
    var events: [TrainerEvent] = []
    for (offset, input) in inputs.enumerated() { events += try trainer.consume(input, offset: Int64(offset)) }
    return (trainer, events)
  }

  private func digest(of branch: StudentBranch) -> Digest { Trainer.weightsDigest(of: branch.student) }

  @Test("One thread or two give the same weights, on the trunk and on a branch")
  func threads() throws {
    let before = KernelPool.threads
    defer { KernelPool.setThreads(before) }
    KernelPool.setThreads(1)
    let recipe = Fixture.recipe { $0.dropout = 0.1 }
    let one = try run(Fixture.stream(), recipe: recipe).trainer
    let oneBranch = digest(of: try one.branch())
    KernelPool.setThreads(2)
    let two = try run(Fixture.stream(), recipe: recipe).trainer
    #expect(one.weightsDigest != nil)
    #expect(one.weightsDigest == two.weightsDigest)
    #expect(oneBranch == digest(of: try two.branch()))
    #expect(oneBranch != one.weightsDigest)
  }

  @Test("Rounds run when they are due, release points when they are, and a cut closes both")
  func events() throws {
    let (trainer, events) = try run(Fixture.stream())
    var rounds: [Int] = []
    var releases: [(number: Int, asked: Bool)] = []
    var started = 0
    for event in events {
      switch event {
      case .started(let vocabulary, let parameters):
        started += 1
        #expect(vocabulary > 300 && parameters > 10_000)
      case .round(let report):
        rounds.append(report.newSamples)
        #expect(report.skipped.isEmpty && report.steps >= 1 && report.meanLoss.isFinite)
        #expect(report.presentations == report.steps * 4)
      case .releasePoint(let point): releases.append((point.number, point.wasAsked))
      }
    }
    #expect(started == 1)
    // 25 train samples, one of them in two versions and one erased after its round.
    #expect(rounds == [6, 6, 6, 2, 6])
    #expect(releases.map(\.number) == [1, 2])
    #expect(releases.map(\.asked) == [true, true])
    #expect(trainer.samplesLearned == 26)
    #expect(trainer.pendingSamples == 0)
    #expect(trainer.releasePoints == 2)
    #expect(trainer.position == Int64(Fixture.stream().count))
  }

  @Test("Records that were consumed already are passed over")
  func redelivery() throws {
    let inputs = Fixture.stream()
    let (plain, _) = try run(inputs)
    let trainer = try Trainer(recipe: Fixture.recipe(), functions: try Fixture.functions())
    for (offset, input) in inputs.enumerated() {
      try trainer.consume(input, offset: Int64(offset))
      try trainer.consume(inputs[offset / 2], offset: Int64(offset / 2))
    }
    #expect(trainer.weightsDigest == plain.weightsDigest)
    #expect(trainer.chain == plain.chain)
  }

  @Test("Offsets are hints: gaps between them change no bit")
  func gaps() throws {
    let (plain, _) = try run(Fixture.stream())
    let trainer = try Trainer(recipe: Fixture.recipe(), functions: try Fixture.functions())
    for (offset, input) in Fixture.stream().enumerated() { try trainer.consume(input, offset: Int64(offset * 7 + 3)) }
    #expect(trainer.weightsDigest == plain.weightsDigest)
    #expect(trainer.chain == plain.chain)
  }

  @Test("The chain names every record that counted, in order")
  func chain() throws {
    let (trainer, _) = try run(Fixture.stream())
    var chain = SampleChain()
    for (index, input) in Fixture.stream().enumerated() where index != 15 { chain.append(input.digest) }
    #expect(trainer.chain == chain.digest)
    var other = SampleChain()
    for input in Fixture.stream().reversed() { other.append(input.digest) }
    #expect(other.digest != chain.digest)
  }

  @Test("Samples of dev and gate, erased and replaced ones are in no batch")
  func neverTrainedOn() throws {
    var names: [String] = []
    let (trainer, _) = try run(Fixture.stream()) { $0.observer = { names += $0 } }
    let before = names.count
    _ = try trainer.branch(steps: 20)
    #expect(names.count == before + 80)
    let heldOut = Set(
      Fixture.stream().compactMap { input -> String? in
        guard case .sample(let sample) = input, sample.split != .train else { return nil }
        return sample.id
      })
    #expect(heldOut.count == 5)
    #expect(heldOut.isDisjoint(with: names))
    #expect(!names.suffix(80).contains("r6"))
    #expect(Set(names).count == 25)
  }

  @Test("The seed, the order and the recipe each decide the weights")
  func sensitivity() throws {
    let (plain, _) = try run(Fixture.stream())
    let (seeded, _) = try run(Fixture.stream(), recipe: Fixture.recipe { $0.seed = 8 })
    let (rated, _) = try run(Fixture.stream(), recipe: Fixture.recipe { $0.learningRate = 1.3e-3 })
    var inputs = Fixture.stream()
    inputs.swapAt(0, 1)
    let (ordered, _) = try run(inputs)
    let digests = [plain, seeded, rated, ordered].map(\.weightsDigest)
    #expect(Set(digests).count == 4)
  }

  @Test("Functions that differ only in the order of their keys have one digest and give one student")
  func functionOrder() throws {
    func reversed(_ json: JSON) -> JSON {
      switch json {
      case .array(let elements): return .array(elements.map(reversed))
      case .object(let object):
        var result = JSONObject()
        for (key, value) in object.reversed() { result[key] = reversed(value) }
        return .object(result)
      default: return json
      }
    }
    let other = try FunctionSet(json: reversed(Fixture.functionsJSON))
    #expect(other.digest == (try Fixture.functions()).digest)
    // No value occurs in the request, so that the schema's order decides.
    let call = Call(name: "set_light", arguments: ["state": "on", "room": "den", "level": 3])
    let inputs = (0..<12).map { TrainingInput.sample(Fixture.make(id: "\($0)", text: "same as ever", call: call)) }
    let digests = try [try Fixture.functions(), other].map { functions in
      let trainer = try Trainer(recipe: Fixture.recipe(), functions: functions)
      for (offset, input) in inputs.enumerated() { try trainer.consume(input, offset: Int64(offset)) }
      return trainer.weightsDigest
    }
    #expect(digests[0] == digests[1] && digests[0] != nil)
  }

  @Test("Too long and unknown samples are reported and the others learned")
  func skipped() throws {
    var inputs = (0..<14).map { TrainingInput.sample(Fixture.sample($0)) }
    let long = String(repeating: "very ", count: 100) + "dark"
    inputs.insert(
      .sample(Fixture.make(id: "long", text: long, call: Call(name: "stop_all", arguments: [:]))), at: 2)
    inputs.insert(
      .sample(Fixture.make(id: "odd", text: "fly to the moon", call: Call(name: "fly", arguments: [:]))), at: 5)
    inputs.append(Fixture.cut(1))
    let (trainer, events) = try run(inputs)
    let skipped = events.flatMap { event -> [SkippedSample] in
      if case .round(let report) = event { report.skipped } else { [] }
    }
    #expect(skipped.map(\.id) == ["long", "odd"])
    #expect(skipped[0].reason.contains("more than maximum_sequence 96"))
    #expect(skipped[1].reason.contains("fly"))
    #expect(trainer.trainingSamples.count == 14)
  }

  @Test("A cut before any sample does nothing; a branch before any round is refused")
  func nothingYet() throws {
    let (trainer, events) = try run([Fixture.cut(1), .sample(Fixture.sample(0, split: .gate)), Fixture.cut(2)])
    #expect(events.isEmpty)
    #expect(trainer.weightsDigest == nil)
    let error = #expect(throws: TrainingError.self) { try trainer.branch() }
    #expect(error?.code == .notReady)
  }

  @Test("All rounds that are due come before a release point: what was consumed names one release, of all of it")
  func oneReleasePoint() throws {
    let recipe = Fixture.recipe {
      $0.tokenizerSamples = 30
      $0.releaseEvery = 6
    }
    let trainer = try Trainer(recipe: recipe, functions: try Fixture.functions())
    var events: [TrainerEvent] = []
    for index in 0..<28 { events += try trainer.consume(.sample(Fixture.sample(index)), offset: Int64(index)) }
    #expect(events.isEmpty)
    events += try trainer.consume(Fixture.cut(1), offset: 28)
    for index in 29..<35 { events += try trainer.consume(.sample(Fixture.sample(index)), offset: Int64(index)) }
    let points = events.compactMap { event -> ReleasePoint? in
      if case .releasePoint(let point) = event { point } else { nil }
    }
    #expect(points.map(\.newSamples) == [28, 6] && points.map(\.number) == [1, 2])
    #expect(Set(points.map(\.chain)).count == 2)
  }

  @Test("A record is refused while a round is due")
  func due() throws {
    let trainer = try Trainer(recipe: Fixture.recipe(), functions: try Fixture.functions())
    for index in 0..<12 { try trainer.enqueue(.sample(Fixture.sample(index)), offset: Int64(index)) }
    #expect(trainer.isWorkDue)
    let error = #expect(throws: TrainingError.self) {
      try trainer.enqueue(.sample(Fixture.sample(12)), offset: 12)
    }
    #expect(error?.code == .notReady)
    #expect(try trainer.advance() != nil)
  }

  @Test("A rate that is far too high ends in a clear error, not in weights")
  func divergence() throws {
    let recipe = Fixture.recipe {
      $0.learningRate = 1; $0.clipNorm = 1e6; $0.warmupSteps = 0; $0.weightDecay = 1; $0.beta2 = 0
    }
    let trainer = try Trainer(recipe: recipe, functions: try Fixture.functions())
    var failure: TrainingError?
    do {
      for index in 0..<2_000 { try trainer.consume(.sample(Fixture.sample(index)), offset: Int64(index)) }
    } catch let error as TrainingError {
      failure = error
    }
    if let failure { #expect(failure.code == .diverged) }
  }

  @Test("New tokens add rows to a base's embedding and change nothing else, however many rows other matrices have")
  func baseWeights() throws {
    try Fixture.withFolder { folder in
      let functions = try Fixture.functions()
      let rows = try BaseModel(folder: Fixture.base(in: folder), functions: functions).configuration.vocabularySize
      let path = try Fixture.base(in: folder + "/square", feedForward: rows)
      let base = try BaseModel(folder: path, functions: functions)
      #expect(base.configuration.vocabularySize == rows && base.configuration.feedForwardSize == rows)
      let trainer = try Trainer(recipe: Fixture.recipe(), functions: functions, base: base)
      let student = try #require(trainer.student)
      let source = try HuggingFaceFolder.read(path)
      for entry in student.layout.entries {
        let (now, before) = (Array(student.parameters(entry)), try source.tensor(entry.name).floats())
        #expect(Array(now.prefix(before.count)) == before, "\(entry.name)")
        #expect(now.count == before.count || entry.name == "model.embed_tokens.weight")
      }
    }
  }

  @Test("A base's student reads as far as it learns, and no further than the base", arguments: [false, true])
  func basePositions(hasAdapters: Bool) throws {
    try Fixture.withFolder { folder in
      let functions = try Fixture.functions()
      let path = try Fixture.base(in: folder)
      let base = try BaseModel(folder: path, functions: functions)
      #expect(base.configuration.maximumPositions == 96)
      for (sequence, expected) in [(64, 64), (96, 96), (1_024, 96)] {
        let recipe = Fixture.recipe {
          $0.maximumSequence = sequence
          if hasAdapters { ($0.precision, $0.loraRank) = (.bf16, 4) }
        }
        let trainer = try Trainer(recipe: recipe, functions: functions, base: base)
        #expect(trainer.configuration?.maximumPositions == expected)
        #expect(trainer.modelDigest == base.digest)
        let store = CheckpointStore(folder: folder + "/checkpoints")
        let restored = try Trainer(restoring: trainer.checkpoint(to: store).digest, from: store, recipe: recipe)
        #expect(restored.configuration == trainer.configuration)
      }
    }
  }

  @Test("A student learns 30 samples by heart")
  func overfitting() throws {
    let recipe = Fixture.recipe {
      $0.layerCount = 2
      $0.replayPerSample = 60
      $0.batchSize = 8
      $0.learningRate = 6e-3
      $0.tokenizerSamples = 30
      $0.roundSize = 30
      $0.decaySteps = 40
      $0.swapProbability = 0
    }
    let inputs = (0..<30).map { TrainingInput.sample(Fixture.sample($0)) } + [Fixture.cut(1)]
    let (trainer, _) = try run(inputs, recipe: recipe)
    let branch = try trainer.branch()
    #expect(branch.finalLoss < 0.05)
    let encoder = try SampleEncoder(
      tokenizer: branch.tokenizer, functions: try Fixture.functions(), maximumSequence: 96)
    var right = 0
    for sample in trainer.trainingSamples {
      var batch = PackedBatch()
      let encoded = try encoder.encode(sample).get()
      batch.append(prompt: encoded.prompt, completion: encoded.answer)
      let report = try branch.student.loss(batch)
      if report.correctCount == report.targetCount { right += 1 }
    }
    #expect(right == 30)
  }
}
