import Compression
import Foundation
import Inference
import ModelFiles
import StudentModel
import Testing
import Tokenization
import Topics
import Training

@Suite("Compression", .serialized) struct CompressorTests {
  private func policy(_ change: (inout CompressionPolicy) throws -> Void = { _ in }) rethrows -> CompressionPolicy {
    var policy = CompressionPolicy()
    policy.prune = PruningPlan(feedForwardKeep: 0.5)
    policy.recoverySteps = 20
    policy.batchSize = 8
    policy.learningRate = 2e-3
    try change(&policy)
    return policy
  }

  @Test("One file comes out, with the grammar beside it, and the same inputs give the same bytes")
  func deterministic() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let parent = try Fixture.student(tokenizer)
      let before = Trainer.weightsDigest(of: parent)
      func compress(_ name: String, _ policy: CompressionPolicy) throws -> CompressionReport {
        try Compressor.compress(
          parent: parent, tokenizer: tokenizer, functions: try Fixture.functions(),
          recentSamples: Fixture.samples(20), trainingSamples: Fixture.samples(45), policy: policy,
          output: "\(folder)/\(name).gguf")
      }
      let one = try compress("one", policy())
      let two = try compress("two", policy())
      let other = try compress("three", policy { $0.seed = 1 })
      #expect(one.model.digest == two.model.digest)
      #expect(one.model.digest != other.model.digest)
      #expect(one.grammar?.digest == two.grammar?.digest)
      #expect(Trainer.weightsDigest(of: parent) == before)
      #expect(one.before.feedForwardSize == 128 && one.configuration.feedForwardSize == 64)
      #expect(one.parametersAfter < one.parametersBefore)
      #expect(one.recovery?.steps == 20)
      let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
      #expect(names.prefix(2) == ["one.gbnf", "one.gguf"])
      let data = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/one.gguf"))
      #expect(Digest.sha256([UInt8](data)) == one.model.digest)
      #expect(data.count == one.model.bytes)
    }
  }

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
          policy: policy { $0.quantizationAwareSteps = 5 }, recipe: recipe, output: "\(folder)/m.gguf")
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
          policy: policy {
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
          model, samples: Fixture.samples(9), policy: policy { $0.recoverySteps = 2 }, output: "\(folder)/found.gguf")
        let expected = try Compressor.compress(
          parent: parent, tokenizer: tokenizer, functions: functions, recentSamples: Fixture.samples(9),
          trainingSamples: Fixture.samples(9),
          policy: policy {
            $0.recoverySteps = 2
            $0.maximumSequence = positions
          }, output: "\(folder)/expected.gguf")
        #expect(model.student.recomputesActivations == (positions > 512))
        #expect(!parent.recomputesActivations && found.model.digest == expected.model.digest)
      }
    }
  }

  @Test("The file is served, and answers as the unquantized student does")
  func served() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let parent = try Fixture.student(tokenizer)
      try Fixture.train(parent, tokenizer, steps: 250)
      let functions = try Fixture.functions()
      let report = try Compressor.compress(
        parent: parent, tokenizer: tokenizer, functions: functions, recentSamples: Fixture.samples(20),
        trainingSamples: Fixture.samples(45), policy: policy { $0.recoverySteps = 60 }, output: "\(folder)/m.gguf")
      let released = try ServingModel(gguf: "\(folder)/m.gguf")
      #expect(released.functions.digest == functions.digest)
      #expect(released.tokenizer.digest == tokenizer.digest)
      #expect(released.configuration == report.configuration)
      let original = try ServingModel(student: parent, tokenizer: tokenizer, functions: functions)
      let requests = Fixture.samples(20).map(\.messages)
      let expected = try Decoder(model: original, maximumBatch: 8).answer(requests).map(\.call)
      let found = try Decoder(model: released, maximumBatch: 8).answer(requests).map(\.call)
      #expect(expected == Fixture.samples(20).map { Optional($0.call) })
      #expect(zip(expected, found).count { $0 == $1 } >= 18)
      #expect((report.recovery?.finalLoss ?? 9) < (report.recovery?.firstLoss ?? 0))
    }
  }

  @Test("Samples of dev and gate are not recovered on")
  func heldOut() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let report = try Compressor.compress(
        parent: try Fixture.student(tokenizer), tokenizer: tokenizer, functions: try Fixture.functions(),
        recentSamples: Fixture.samples(9, split: .gate), trainingSamples: Fixture.samples(9, split: .dev),
        policy: policy(), output: "\(folder)/m.gguf")
      #expect(report.recovery == nil)
    }
  }

  @Test("The error of each tensor is reported, and is as small as its type promises")
  func errors() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let student = try Fixture.student(tokenizer)
      func worst(_ type: QuantizationPlan.WeightType) throws -> Double {
        let report = try Compressor.compress(
          parent: student, tokenizer: tokenizer, functions: nil,
          policy: policy {
            $0.prune = PruningPlan(); $0.quantize = .uniform(type)
          }, output: "\(folder)/\(type).gguf")
        #expect(report.tensors.count == student.layout.entries.count)
        #expect(report.tensors.filter { $0.type == .f32 }.allSatisfy { $0.relativeRMS == 0 && $0.maximum == 0 })
        #expect(report.grammar == nil)
        return report.worstRelativeRMS
      }
      let (q8, f16, f32) = (try worst(.q8), try worst(.f16), try worst(.f32))
      #expect(q8 > 1e-3 && q8 < 1e-2)
      #expect(f16 > 1e-5 && f16 < 1e-3)
      #expect(f32 == 0)
      let (q4, bf16) = (try worst(.q4), try worst(.bf16))
      #expect(q4 > 2e-2 && q4 < 0.15)
      #expect(bf16 > 1e-4 && bf16 < 1e-2)
      #expect(try GGUFFile(path: "\(folder)/q4.gguf").tensor("blk.0.ffn_up.weight").type == .q4_0)
      // Rows shorter than 256 cannot be Q6_K.
      _ = try worst(.q6)
      #expect(try GGUFFile(path: "\(folder)/q6.gguf").tensor("blk.0.ffn_up.weight").type == .q8_0)
      let file = try GGUFFile(path: "\(folder)/q8.gguf")
      #expect(try file.decoderConfiguration() == student.configuration)
      #expect(try file.tensor("token_embd.weight").type == .q8_0)
      #expect(try file.tensor("blk.0.attn_norm.weight").type == .f32)
    }
  }

  @Test(
    "Recovery brings the pruned student back along every axis",
    arguments: ["ffn=64", "layers=2", "hidden=32", "kv=1", "parameters=-20%,vocabulary=used"])
  func axes(_ plan: String) throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let parent = try Student(
        configuration: DecoderConfiguration(
          vocabularySize: tokenizer.vocabularySize, hiddenSize: 64, layerCount: 3, headCount: 4, keyValueHeadCount: 2,
          feedForwardSize: 128, maximumPositions: 128),
        seed: 3)
      try Fixture.train(parent, tokenizer, steps: 250)
      let report = try Compressor.compress(
        parent: parent, tokenizer: tokenizer, functions: try Fixture.functions(), recentSamples: Fixture.samples(20),
        trainingSamples: Fixture.samples(45),
        policy: try policy {
          $0.prune = try PruningPlan(plan)
          $0.recoverySteps = 200
        }, output: "\(folder)/m.gguf")
      let recovery = try #require(report.recovery)
      #expect(report.parametersAfter < report.parametersBefore)
      if plan.contains("parameters") {
        #expect(Double(report.parametersAfter) <= 0.8 * Double(report.parametersBefore))
      }
      #expect(recovery.finalDivergence < 0.2 && (report.harm ?? -1) >= 0, "\(recovery), \(report.harm ?? -1)")
      let released = try ServingModel(gguf: "\(folder)/m.gguf")
      let found = try Decoder(model: released, maximumBatch: 8).answer(Fixture.samples(20).map(\.messages)).map(\.call)
      #expect(zip(found, Fixture.samples(20)).count { $0 == $1.call } >= 16)
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
          policy: policy {
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

  @Test("Unused tokens can go only where samples say which they are")
  func vocabularyNeedsSamples() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let error = #expect(throws: CompressionError.self) {
        try Compressor.compress(
          parent: try Fixture.student(tokenizer), tokenizer: tokenizer, functions: try Fixture.functions(),
          policy: policy { $0.prune.dropsUnusedTokens = true }, output: "\(folder)/m.gguf")
      }
      #expect(error?.code == .mismatch)
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
          policy: policy {
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
      let dense = policy {
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
          let policy = self.policy { ($0.learningRate, $0.recoverySteps) = (rate, 4) }
          let report = try Compressor.compress(
            UncompressedModel(path: path), samples: samples, policy: policy, output: "\(folder)/pruned.gguf")
          #expect(report.recovery?.steps == 4)
          files.append(report.model.digest)
        }
        #expect((files[0] == files[1]) == isFineTuned, "\(path)")
      }
    }
  }

  @Test("A file teaches a student with as many rows as that has, and is known by the same digest")
  func teacherFile() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let student = try Fixture.student(tokenizer)
      let path = "\(folder)/teacher.gguf"
      _ = try StudentFile.write(student, tokenizer: tokenizer, functions: Fixture.functions(), as: .f32, to: path)
      let rows = student.configuration.vocabularySize
      let whole = try DistillationTeacher(path: path, tokenizer: tokenizer)
      let wider = try DistillationTeacher(path: path, tokenizer: tokenizer, rows: rows + 32)
      let back = try DistillationTeacher(path: path, tokenizer: tokenizer, rows: rows)
      let digest = try DistillationTeacher.digest(path: path)
      #expect(whole.digest == digest && wider.digest == digest && back.digest == digest)
      #expect(wider.student.configuration.vocabularySize == rows + 32)
      for entry in student.layout.entries {
        let own = Array(student.parameters(entry))
        let found = Array(wider.student.parameters(try #require(wider.student.layout[entry.name])))
        #expect(Array(back.student.parameters(entry)) == own && found.prefix(own.count) == own[...], "\(entry.name)")
        #expect(found.dropFirst(own.count).allSatisfy { $0 == 0 }, "\(entry.name)")
      }
    }
  }

  @Test("A Hugging Face folder can be written and compressed")
  func folder() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let student = try Fixture.student(tokenizer)
      let functions = try Fixture.functions()
      try StudentFile.writeFolder(student, tokenizer: tokenizer, functions: functions, to: "\(folder)/hf")
      let one = try Compressor.compress(
        UncompressedModel(path: "\(folder)/hf"), functions: functions, policy: policy(), output: "\(folder)/one.gguf")
      let two = try Compressor.compress(
        parent: student, tokenizer: tokenizer, functions: functions, policy: policy(), output: "\(folder)/two.gguf")
      #expect(one.model.digest == two.model.digest)
      #expect(one.configuration.feedForwardSize == 64)
      // A file that holds everything is as good as the folder, and brings its functions along.
      _ = try StudentFile.write(
        student, tokenizer: tokenizer, functions: functions, as: .f32, to: "\(folder)/whole.gguf")
      let three = try Compressor.compress(
        UncompressedModel(path: "\(folder)/whole.gguf"), policy: policy(), output: "\(folder)/three.gguf")
      #expect(three.model.digest == two.model.digest && three.grammar?.digest == two.grammar?.digest)
      for path in ["none", "none.gguf"] {
        #expect(throws: ModelFileError.self) {
          try Compressor.compress(UncompressedModel(path: "\(folder)/\(path)"), output: "\(folder)/x.gguf")
        }
      }
    }
  }

  @Test(
    "A checkpoint's student becomes a folder of the same logits, with the template it was trained in; and that folder another",
    arguments: [false, true])
  func checkpointAsFolder(isFineTuned: Bool) throws {
    try Fixture.withFolder { folder in
      let functions = try Fixture.functions()
      let own = "{{ messages[0].content }}"
      let base = isFineTuned ? try Fixture.chatMLBase(template: own, functions: functions, in: folder) : nil
      let trainer = try Trainer(recipe: Fixture.recipe(), functions: functions, base: base)
      for (offset, sample) in Fixture.samples(24).enumerated() {
        try trainer.consume(.sample(sample), offset: Int64(offset))
      }
      let store = CheckpointStore(folder: "\(folder)/checkpoints")
      let checkpoint = store.path(of: try trainer.checkpoint(to: store).digest)
      let branch = try trainer.branch()
      #expect(branch.steps == 4)
      let codec = try CallCodec(tokenizer: branch.tokenizer, functions: functions)
      #expect(codec.template == (isFineTuned ? .chatML : .retort))
      let tokens = codec.prompt([.user("set the attic light to 3")])
      let expected = try withExtendedLifetime(branch.student) {
        try DecoderModel(
          configuration: branch.student.configuration, parameters: UnsafeBufferPointer(branch.student.parameters),
          tokenizer: branch.tokenizer
        ).logits(tokens: tokens)
      }
      let dense = policy {
        $0.prune = PruningPlan()
        $0.quantize = .uniform(.f32)
      }
      for (input, output) in [(checkpoint, "\(folder)/one"), ("\(folder)/one", "\(folder)/two")] {
        let report = try Compressor.compress(UncompressedModel(path: input), policy: dense, output: output)
        #expect(report.model.path == "\(output)/model.safetensors" && report.grammar == nil && report.tensors.isEmpty)
        #expect(
          try FileManager.default.contentsOfDirectory(atPath: output).sorted() == [
            "config.json", "generation_config.json", "model.safetensors", "retort.json", "tokenizer.json",
            "tokenizer_config.json",
          ])
        let read = try HuggingFaceFolder.read(output)
        #expect(read.chatTemplate == codec.template.jinja && read.chatTemplate != own)
        #expect(read.endOfTextIDs == [Int(codec.endOfAnswer)])
        #expect(read.tokenizerJSON == branch.tokenizer.huggingFaceJSON)
        let found = try DecoderModel(folder: output).logits(tokens: tokens)
        #expect(found == expected)
      }

      // What is there stays, and weights of a folder are not rounded.
      let model = try UncompressedModel(path: "\(folder)/two")
      #expect(throws: ModelFileError.self) {
        try Compressor.compress(model, policy: dense, output: "\(folder)/one")
      }
      let error = #expect(throws: CompressionError.self) {
        try Compressor.compress(model, policy: policy(), output: "\(folder)/three")
      }
      #expect(error?.code == .mismatch)
      let lost = #expect(throws: TrainingError.self) {
        try UncompressedModel(path: store.path(of: Digest.sha256("lost")))
      }
      #expect(lost?.code == .checkpointNotFound)
    }
  }

  @Test(
    "A file made of a checkpoint's folder is the one made of the checkpoint: functions, whole words, search, precision",
    arguments: Precision.allCases)
  func fileOfFolder(precision: Precision) throws {
    try Fixture.withFolder { folder in
      let functions = try Fixture.functions()
      var recipe = Fixture.recipe()
      recipe.precision = precision
      let trainer = try Trainer(recipe: recipe, functions: functions)
      // Whole words are held to from 50 labels on.
      for (offset, sample) in Fixture.samples(60).enumerated() {
        try trainer.consume(.sample(sample), offset: Int64(offset))
      }
      #expect(trainer.trainingSamples.count == 60)
      let store = CheckpointStore(folder: "\(folder)/checkpoints")
      let model = try UncompressedModel(path: store.path(of: trainer.checkpoint(to: store).digest), alternatives: 3)
      let dense = policy {
        $0.prune = PruningPlan()
        $0.quantize = .uniform(.f32)
      }
      _ = try Compressor.compress(model, policy: dense, output: "\(folder)/hf")
      let direct = try Compressor.compress(model, policy: policy(), output: "\(folder)/direct.gguf")
      let indirect = try Compressor.compress(
        UncompressedModel(path: "\(folder)/hf"), policy: policy(), output: "\(folder)/indirect.gguf")
      #expect(indirect.model.digest == direct.model.digest && indirect.grammar?.digest == direct.grammar?.digest)

      let served = try ServingModel(gguf: "\(folder)/indirect.gguf")
      #expect(served.answersInWholeWords && served.alternatives == 3)
      #expect(served.functions.names == functions.names)
      #expect(served.metadata["retort.template"]?.string == served.codec.template.name)
      #expect(served.metadata["retort.numerics"]?.string == Numerics.version(precision))
    }
  }

  @Test("A folder's retort.json that does not hold is refused in one sentence that names the file")
  func folderSettings() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      try StudentFile.writeFolder(
        Fixture.student(tokenizer), tokenizer: tokenizer, functions: nil, to: "\(folder)/hf")
      let file = "\(folder)/hf/retort.json"
      #expect(!FileManager.default.fileExists(atPath: file), "of a model without a task there is nothing to say")
      for (text, found) in [
        ("[]", "array"), (#"{"weights": 1}"#, "an unknown key"), (#"{"whole_words": 1}"#, "1"),
        (#"{"alternatives": 1001}"#, "1001"), (#"{"alternatives": -1}"#, "-1"), (#"{"alternatives": "8"}"#, "\"8\""),
        (#"{"answer_tokens": 0}"#, "0"),
        (#"{"precision": "fp8"}"#, "\"fp8\""), (#"{"functions": 7}"#, "found integer"),
        (
          #"{"functions": [{"name": "a", "parameters": {"type": "object", "dependentRequired": {}}}]}"#,
          "dependentRequired"
        ),
      ] {
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        let error = #expect(throws: CompressionError.self, "\(text)") {
          try UncompressedModel(path: "\(folder)/hf")
        }
        #expect(error?.code == .mismatch && error?.context.hasPrefix(file) == true, "\(text)")
        let sentence = error?.description ?? ""
        #expect(sentence.contains(found) && !sentence.contains("\n"), "\(sentence)")
      }
      try Data("{".utf8).write(to: URL(fileURLWithPath: file))
      let broken = #expect(throws: ModelFileError.self) { try UncompressedModel(path: "\(folder)/hf") }
      #expect(broken?.code == .malformed && broken?.context == file)
      try Data(#"{"whole_words": true, "alternatives": 0}"#.utf8).write(to: URL(fileURLWithPath: file))
      let model = try UncompressedModel(path: "\(folder)/hf")
      #expect(model.functions == nil && model.description.metadata.map(\.value) == [.bool(true), .uint32(0)])
      // It is kept on the way to a file and back to a folder.
      try Data(#"{"answer_tokens": 600}"#.utf8).write(to: URL(fileURLWithPath: file))
      let dense = policy {
        $0.prune = PruningPlan()
        $0.quantize = .uniform(.f32)
      }
      for (input, output) in [("hf", "long.gguf"), ("long.gguf", "again")] {
        _ = try Compressor.compress(
          UncompressedModel(path: "\(folder)/\(input)"), policy: dense, output: "\(folder)/\(output)")
      }
      let again = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/again/retort.json"))
      #expect(try JSON.parse([UInt8](again)) == ["answer_tokens": 600])
    }
  }

  @Test("What no folder can say, a GGUF file's divisors of rotary frequencies, is refused before the work")
  func divisors() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      var configuration = try Fixture.student(tokenizer).configuration
      configuration.ropeScaling = .divisors([Float](repeating: 2, count: configuration.headSize / 2))
      let student = try Student(configuration: configuration, seed: 3)
      let error = #expect(throws: ModelFileError.self) {
        try Compressor.compress(
          parent: student, tokenizer: tokenizer, functions: Fixture.functions(), trainingSamples: Fixture.samples(9),
          policy: policy { $0.quantize = .uniform(.f32) }, output: "\(folder)/hf",
          progress: { _ in Issue.record("a step of the recovery") })
      }
      #expect(error?.code == .unsupported)
    }
  }

  @Test(
    "A student without a template of its own gets the one it is asked in; an end of text that is no token is refused")
  func templates() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.chatML(structure: CallCodec.structureTokens(for: Fixture.functions()))
      let student = try Fixture.student(tokenizer)
      try StudentFile.writeFolder(
        student, tokenizer: tokenizer, functions: Fixture.functions(), to: "\(folder)/plain/")
      let read = try HuggingFaceFolder.read("\(folder)/plain")
      #expect(read.chatTemplate == PromptTemplate.chatML.jinja)
      let end = try #require(tokenizer.control("<|im_end|>"))
      #expect(read.endOfTextIDs == [Int(end)])
      var description = StudentDescription()
      description.endOfText = tokenizer.vocabularySize
      #expect(throws: CompressionError.self) {
        try StudentFile.writeFolder(
          student, tokenizer: tokenizer, functions: nil, description: description, to: "\(folder)/wrong")
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["plain"])
    }
  }

  @Test("Policies are strict and survive a round trip")
  func policies() throws {
    let changed = policy {
      $0.quantize = .uniform(.f16); $0.klWeight = 0.25
    }
    #expect(try CompressionPolicy(json: JSON.parse(changed.json.text)) == changed)
    #expect(changed.json.objectValue?.keys.sorted() == CompressionPolicy.keys.sorted())
    #expect(changed.digest != CompressionPolicy().digest)
    let bad: [JSON] = [
      ["keep": 1], ["prune": "ffn=0"], ["prune": "ffn"], ["calibrate": "gptp"], ["quantize": "bytes=much"],
      ["quantize": "q2"], ["recovery_steps": 1.5], ["recovery_steps": "many"], ["kl_weight": "much"], 7,
    ]
    for json in bad { #expect(throws: CompressionError.self) { try CompressionPolicy(json: json) } }
  }

  @Test("The grammar stands beside the model")
  func grammarPaths() {
    #expect(Compressor.grammarPath(beside: "/a/b.c/model.gguf") == "/a/b.c/model.gbnf")
    #expect(Compressor.grammarPath(beside: "model") == "model.gbnf")
    #expect(Compressor.grammarPath(beside: "/a.b/model") == "/a.b/model.gbnf")
  }
}
