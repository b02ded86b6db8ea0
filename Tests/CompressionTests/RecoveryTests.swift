import Compression
import Foundation
import Inference
import ModelFiles
import StudentModel
import Testing
import Tokenization
import Topics
import Training

/// What a student learns again once it is pruned, or with rounded weights.
@Suite("Recovery", .serialized) struct RecoveryTests {
  @Test("Recovery keeps its moments and cuts its steps into passes as training did")
  func memory() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let parent = try Fixture.student(tokenizer)
      try Fixture.train(parent, tokenizer, steps: 100)
      func compress(_ change: (inout TrainingRecipe) -> Void) throws -> CompressionReport {
        var recipe = TrainingRecipe()
        change(&recipe)
        return try Compressor.compress(
          parent: parent, tokenizer: tokenizer, functions: Fixture.functions(), trainingSamples: Fixture.samples(45),
          policy: Fixture.policy { $0.quantizationAwareSteps = 5 }, recipe: recipe, output: "\(folder)/m.gguf")
      }
      let whole = try compress { $0.learningRate = 1 }
      #expect(try compress { _ in }.model.digest == whole.model.digest, "what learning was like has no say")
      for sparing in [try compress { $0.accumulationSteps = 4 }, try compress { $0.optimizerState = .bf16 }] {
        #expect(sparing.model.digest != whole.model.digest)
        let losses = (sparing.recovery?.finalLoss ?? 9, whole.recovery?.finalLoss ?? 0)
        #expect(abs(losses.0 - losses.1) < 0.3, "\(losses)")
        #expect(sparing.quantizationAware?.steps == 5)
      }
    }
  }

  @Test("Where samples may be long, a pass of the recovery has no more of them than one of training")
  func passes() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let parent = try Fixture.student(tokenizer)
      try Fixture.train(parent, tokenizer, steps: 100)
      func compress(_ longest: Int, _ change: (inout TrainingRecipe) -> Void) throws -> Digest {
        var recipe = TrainingRecipe()
        change(&recipe)
        return try Compressor.compress(
          parent: parent, tokenizer: tokenizer, functions: Fixture.functions(), trainingSamples: Fixture.samples(45),
          policy: Fixture.policy {
            $0.quantizationAwareSteps = 5
            $0.maximumSequence = longest
          }, recipe: recipe, output: "\(folder)/m.gguf"
        ).model.digest
      }
      let (whole, quarters) = (try compress(1_024) { _ in }, try compress(1_024) { $0.accumulationSteps = 4 })
      #expect(quarters != whole)
      // Steps of eight samples, as two at a time were trained.
      #expect(try compress(1_024) { $0.batchSize = 2 } == quarters)
      #expect(try compress(1_024) { ($0.batchSize, $0.accumulationSteps) = (4, 2) } == quarters)
      #expect(try compress(1_024) { $0.batchSize = 8 } == whole)
      #expect(try compress(512) { $0.batchSize = 2 } == compress(512) { _ in }, "short ones are as many as ever")
    }
  }

  @Test("A file's student that reads long samples keeps no activations while it is compressed: the same bits")
  func recomputing() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let functions = try Fixture.functions()
      func student(positions: Int) throws -> Student {
        try Student(
          configuration: DecoderConfiguration(
            vocabularySize: tokenizer.vocabularySize, hiddenSize: 32, layerCount: 1, headCount: 2,
            keyValueHeadCount: 1, feedForwardSize: 128, maximumPositions: positions),
          seed: 3)
      }
      for positions in [512, 1_024] {
        let parent = try student(positions: positions)
        _ = try StudentFile.write(
          parent, tokenizer: tokenizer, functions: functions, as: .f32, to: "\(folder)/\(positions).gguf")
        let model = try UncompressedModel(path: "\(folder)/\(positions).gguf")
        let found = try Compressor.compress(
          model, samples: Fixture.samples(9), policy: Fixture.policy { $0.recoverySteps = 2 },
          output: "\(folder)/found.gguf")
        let expected = try Compressor.compress(
          parent: parent, tokenizer: tokenizer, functions: functions, recentSamples: Fixture.samples(9),
          trainingSamples: Fixture.samples(9),
          policy: Fixture.policy {
            $0.recoverySteps = 2
            $0.maximumSequence = positions
          }, output: "\(folder)/expected.gguf")
        #expect(model.student.recomputesActivations == (positions > 512))
        #expect(!parent.recomputesActivations && found.model.digest == expected.model.digest)
      }
    }
  }

  @Test("Samples of dev and gate are not recovered on")
  func heldOut() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let report = try Compressor.compress(
        parent: try Fixture.student(tokenizer), tokenizer: tokenizer, functions: try Fixture.functions(),
        recentSamples: Fixture.samples(9, split: .gate), trainingSamples: Fixture.samples(9, split: .dev),
        policy: Fixture.policy(), output: "\(folder)/m.gguf")
      #expect(report.recovery == nil)
    }
  }

  @Test("Samples take part as long as the student reads them; where none can, that is said before the work")
  func longSamples() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let functions = try Fixture.functions()
      let samples = Fixture.samples(4).map { sample in
        // Letters that the tokenizer has not seen are a token each.
        let messages = [ChatMessage.user(sample.messages[0].content + " " + String(repeating: "X", count: 600))]
        return TrainingSample(
          id: sample.id, digest: sample.digest, messages: messages, call: sample.call, split: sample.split)
      }
      func compress(positions: Int) throws -> CompressionReport {
        let path = "\(folder)/\(positions).gguf"
        let student = try Student(
          configuration: DecoderConfiguration(
            vocabularySize: tokenizer.vocabularySize, hiddenSize: 32, layerCount: 1, headCount: 2,
            keyValueHeadCount: 1, feedForwardSize: 128, maximumPositions: positions),
          seed: 3)
        _ = try StudentFile.write(student, tokenizer: tokenizer, functions: functions, as: .f32, to: path)
        return try Compressor.compress(
          UncompressedModel(path: path), samples: samples,
          policy: Fixture.policy {
            $0.recoverySteps = 2
            $0.batchSize = 2
          }, output: "\(folder)/small.gguf")
      }
      #expect(try compress(positions: 1_024).recovery?.steps == 2)
      try FileManager.default.removeItem(atPath: "\(folder)/small.gguf")
      let error = #expect(throws: CompressionError.self) { try compress(positions: 512) }
      #expect(error?.code == .mismatch && error?.context == "data", "\(error?.description ?? "nothing")")
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/small.gguf"))
    }
  }

  @Test(
    "A student of a base recovers at its recipe's rate at most, of adapters at a tenth, what was made of it at a pretrained model's; one from scratch at the policy's",
    arguments: [(true, 0), (true, 4), (false, 0)])
  func recoveryRate(isFineTuned: Bool, adapters rank: Int) throws {
    try Fixture.withFolder { folder in
      let functions = try Fixture.functions()
      let base =
        isFineTuned ? try Fixture.chatMLBase(template: "{{ messages }}", functions: functions, in: folder) : nil
      var recipe = Fixture.recipe()
      recipe.learningRate = rank > 0 ? 4e-4 : 4e-5
      if rank > 0 { (recipe.precision, recipe.loraRank) = (.bf16, rank) }
      let trainer = try Trainer(recipe: recipe, functions: functions, base: base)
      let samples = Fixture.samples(24)
      for (offset, sample) in samples.enumerated() { try trainer.consume(.sample(sample), offset: Int64(offset)) }
      let store = CheckpointStore(folder: "\(folder)/checkpoints")
      let checkpoint = store.path(of: try trainer.checkpoint(to: store).digest)
      let dense = Fixture.policy {
        $0.prune = PruningPlan()
        $0.quantize = .uniform(.f32)
      }
      let made = ["\(folder)/folder", "\(folder)/file.gguf"]
      for path in made {
        _ = try Compressor.compress(UncompressedModel(path: checkpoint), policy: dense, output: path)
      }
      for (path, limit) in [(checkpoint, 5e-5), (made[0], 2e-5), (made[1], 2e-5)] {
        var files: [Digest] = []
        for rate in [5e-4, limit] {
          let policy = Fixture.policy { ($0.learningRate, $0.recoverySteps) = (rate, 4) }
          let report = try Compressor.compress(
            UncompressedModel(path: path), samples: samples, policy: policy, output: "\(folder)/pruned.gguf")
          #expect(report.recovery?.steps == 4)
          files.append(report.model.digest)
        }
        #expect((files[0] == files[1]) == isFineTuned, "\(path)")
      }
    }
  }

  @Test("Calibrated Q4_0 and steps with rounded weights end nearer to the parent than rounding to the nearest")
  func calibrated() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let functions = try Fixture.functions()
      let parent = try Fixture.student(tokenizer)
      try Fixture.train(parent, tokenizer, steps: 250)
      let before = Trainer.weightsDigest(of: parent)
      func make(_ name: String, _ change: (inout CompressionPolicy) -> Void) throws -> CompressionReport {
        try Compressor.compress(
          parent: parent, tokenizer: tokenizer, functions: functions, recentSamples: Fixture.samples(45),
          trainingSamples: Fixture.samples(45),
          policy: Fixture.policy {
            $0.prune = PruningPlan()
            $0.quantize = .uniform(.q4)
            change(&$0)
          }, output: "\(folder)/\(name).gguf")
      }
      func divergence(_ name: String) throws -> Float {
        let (a, b) = (
          try ServingModel(student: parent, tokenizer: tokenizer, functions: functions),
          try ServingModel(gguf: "\(folder)/\(name).gguf")
        )
        return try Fixture.samples(9).reduce(0) { sum, sample in
          let tokens = a.codec.prompt(sample.messages)
          let pairs = zip(try a.logits(tokens: tokens).joined(), try b.logits(tokens: tokens).joined())
          return sum + pairs.reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        }
      }
      let nearest = try make("nearest") { _ in }
      let both = try make("both") { $0.calibrate = .both }
      #expect(both.model.digest != nearest.model.digest && both.model.bytes == nearest.model.bytes)
      #expect(both.model.digest == (try make("again") { $0.calibrate = .both }).model.digest)
      #expect(try divergence("both") < divergence("nearest"))
      let linear = both.tensors.filter { $0.outputError != nil }
      #expect(linear.count == 14)
      let sums = linear.reduce((0.0, 0.0)) { ($0.0 + ($1.outputError ?? 9), $0.1 + ($1.outputErrorNearest ?? 0)) }
      #expect(sums.0 < 0.9 * sums.1)
      let aware = try make("aware") { $0.quantizationAwareSteps = 30 }
      #expect(aware.quantizationAware?.steps == 30 && aware.model.digest != nearest.model.digest)
      let mixed = try make("mixed") { $0.quantize = .bytes(nearest.model.bytes + 4_000) }
      #expect(mixed.model.bytes <= nearest.model.bytes + 4_000)
      #expect(Trainer.weightsDigest(of: parent) == before)
    }
  }
}
