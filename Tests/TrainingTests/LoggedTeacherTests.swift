import Foundation
import ModelFiles
import StudentModel
import Testing
import Tokenization
import Topics
import Training

/// Learning from the log-probabilities that samples bring along.
@Suite("Log-probabilities of samples", .serialized) struct LoggedTeacherTests {
  /// A base and its plain tokenizer: the teacher's.
  private static func withBase(_ body: (String, Tokenizer) throws -> Void) throws {
    try Fixture.withFolder { folder in
      let base = try Fixture.base(in: folder)
      let json = try Data(contentsOf: URL(fileURLWithPath: base + "/tokenizer.json"))
      try body(base, try Tokenizer(huggingFace: Array(json)))
    }
  }

  /// What a teacher wrote: parts that are encoded each by itself, with a second alternative in each place.
  private static func logged(
    _ parts: [String], _ tokenizer: Tokenizer, second: String = "x", digest: Digest? = nil
  ) throws -> TokenLogprobs {
    let tokens = parts.flatMap { tokenizer.encode($0) }
    let other = try #require(tokenizer.encode(second).first)
    return try TokenLogprobs(
      tokenizer: digest ?? tokenizer.textDigest, top: 2, tokens: tokens,
      alternatives: tokens.flatMap { $0 == other ? [$0, -1] : [$0, other] },
      logprobs: tokens.flatMap { $0 == other ? [-0.25, 0] : [-0.5, -1.25] })
  }

  /// A call's arguments as a teacher writes them, keys in alphabetical order, values apart from what surrounds them.
  private static func parts(_ call: Call) -> [String] {
    var parts = [" {"]
    for (index, key) in call.arguments.keys.sorted().enumerated() {
      let value = call.arguments[key] ?? .null
      parts.append((index > 0 ? ", " : "") + "\"\(key)\": ")
      if let text = value.stringValue { parts += ["\"", text, "\""] } else { parts.append(value.text) }
    }
    return parts + ["}\n"]
  }

  private static func sample(_ index: Int, _ topLogprobs: TokenLogprobs?) -> TrainingSample {
    let plain = Fixture.sample(index)
    let record = SampleRecord(
      id: plain.id, messages: plain.messages, call: plain.call, split: .train, topLogprobs: topLogprobs)
    return TrainingSample(
      id: plain.id, digest: record.digest, messages: plain.messages, call: plain.call, topLogprobs: topLogprobs)
  }

  private static func stream(_ tokenizer: Tokenizer) throws -> [TrainingInput] {
    try (0..<24).map { index in
      .sample(sample(index, index % 6 == 1 ? nil : try logged(parts(Fixture.sample(index).call), tokenizer)))
    } + [Fixture.cut(1)]
  }

  private static func start(_ recipe: TrainingRecipe, _ base: String) throws -> Trainer {
    let functions = try Fixture.functions()
    return try Trainer(recipe: recipe, functions: functions, base: BaseModel(folder: base, functions: functions))
  }

  private static func feed(_ trainer: Trainer, _ inputs: [TrainingInput], until end: Int = .max) throws -> [RoundReport]
  {
    var reports: [RoundReport] = []
    while Int(trainer.position) < min(end, inputs.count) {
      for case .round(let report) in try trainer.consume(inputs[Int(trainer.position)], offset: trainer.position) {
        reports.append(report)
      }
    }
    return reports
  }

  private static let recipe = Fixture.recipe {
    $0.distillTeacher = TrainingRecipe.samples
    $0.dropout = 0.1
  }

  @Test("A value's tokens have soft targets where the teacher wrote the very same ones; nothing else has")
  func alignment() throws {
    try Self.withBase { base, plain in
      let functions = try Fixture.functions()
      let tokenizer = try BaseModel(folder: base, functions: functions).tokenizer
      #expect(tokenizer.textDigest == plain.textDigest && tokenizer.digest != plain.digest)
      let encoder = try SampleEncoder(tokenizer: tokenizer, functions: functions, maximumSequence: 96)
      func targets(_ index: Int, _ parts: [String], second: String = "x", top: Int = 0) throws -> [SoftTarget] {
        let sample = Self.sample(index, try Self.logged(parts, plain, second: second))
        return LoggedTeacher(tokenizer: tokenizer, top: top).targets(of: sample, in: try encoder.encode(sample).get())
      }
      func answer(_ index: Int) throws -> [Int32] { try encoder.encode(Fixture.sample(index)).get().answer }
      func text(_ targets: [SoftTarget], _ index: Int) throws -> String {
        let ids = try answer(index)
        return String(decoding: tokenizer.decode(targets.map { ids[Int($0.row)] }), as: UTF8.self)
      }
      // The song comes first in the request and so in the answer; the teacher's keys are in another order.
      let song = Fixture.sample(1).call
      let found = try targets(1, Self.parts(song))
      #expect(try text(found, 1) == "yellow moonada")
      for target in found {
        #expect(target.tokens.first == (try answer(1)[Int(target.row)]))
        #expect(abs(target.probabilities[0] - 0.6065307) < 1e-6 && target.tokens.count == 2)
        #expect(abs(target.tail - (1 - 0.6065307 - 0.2865048)) < 1e-6)
      }
      #expect(try targets(1, Self.parts(song), top: 1).allSatisfy { $0.tokens.count == 1 && $0.tail > 0.39 })
      // An end of the value is no alternative within it: its mass is the tail's.
      #expect(try targets(1, Self.parts(song), second: "\"").allSatisfy { $0.tokens.count == 1 && $0.tail > 0.39 })
      // The teacher wrote one value in other pieces; the other one's count all the same.
      let split = try targets(
        1, ["{\"artist\": \""] + "ada".map { String($0) } + ["\", \"song\": \"", "yellow moon", "\"}"])
      #expect(try text(split, 1).hasPrefix("yellow moon"))
      let whole = try Self.logged(Self.parts(song), plain)
      var tokens = whole.tokens
      tokens[tokens.count / 2] = TokenLogprobs.none
      let holed = try TokenLogprobs(
        tokenizer: whole.tokenizer, top: 2, tokens: tokens, alternatives: whole.alternatives, logprobs: whole.logprobs)
      let unread = LoggedTeacher(tokenizer: tokenizer, top: 0).targets(
        of: Self.sample(1, holed), in: try encoder.encode(Fixture.sample(1)).get())
      #expect(unread.isEmpty, "a token that the tokenizer does not have")
      #expect(try targets(1, Self.parts(Fixture.sample(5).call)).isEmpty, "another call")
      #expect(try text(try targets(2, Self.parts(Fixture.sample(2).call)), 2).contains("2"), "a number")
      #expect(try targets(3, [" {", "}"]).isEmpty)
      // A sample with an exchanged value is presented without.
      let trainer = try Self.start(Self.recipe, base)
      _ = try Self.feed(trainer, Self.stream(plain))
      let swap = SlotSwap(recipe: Self.recipe, functions: functions, domain: .swap, learned: 24)
      var kinds: Set<Bool> = []
      for presentation in 0..<40 {
        let batch = trainer.present([0], swap: swap, trunk: try #require(trainer.trunk)) { _ in UInt64(presentation) }
        let own = try encoder.encode(Fixture.sample(0)).get()
        let isOwn = batch.tokens == Array((own.prompt + own.answer).dropLast())
        #expect(batch.softTargets.isEmpty != isOwn && batch.softShare == 0.5)
        kinds.insert(isOwn)
      }
      #expect(kinds.count == 2)
    }
  }

  @Test(
    "Threads, kills and resumes change no bit; what the teacher thinks is learned, and rounds say of how many samples")
  func learning() throws {
    let threads = KernelPool.threads
    defer { KernelPool.setThreads(threads) }
    try Self.withBase { base, plain in
      let inputs = try Self.stream(plain)
      KernelPool.setThreads(1)
      let whole = try Self.start(Self.recipe, base)
      let reports = try Self.feed(whole, inputs)
      #expect(reports.reduce(0) { $0 + $1.softSamples } == 16)
      #expect(reports.reduce(0) { $0 + $1.unlikeSamples } == 4, "calls without a value")
      let branch = Trainer.weightsDigest(of: try whole.branch().student)
      let untaught = try Self.start(Fixture.recipe { $0.dropout = 0.1 }, base)
      #expect(try Self.feed(untaught, inputs).allSatisfy { $0.softSamples + $0.unlikeSamples == 0 })
      #expect(untaught.weightsDigest != whole.weightsDigest && untaught.chain == whole.chain)
      for count in [2, 3] {
        KernelPool.setThreads(count)
        try Fixture.withFolder { folder in
          let store = CheckpointStore(folder: folder)
          var current = try Self.start(Self.recipe, base)
          for end in stride(from: 1 + count, through: inputs.count, by: 5) {
            _ = try Self.feed(current, inputs, until: end)
            current = try Trainer(restoring: try current.checkpoint(to: store).digest, from: store, recipe: Self.recipe)
          }
          _ = try Self.feed(current, inputs)
          #expect(current.weightsDigest == whole.weightsDigest, "\(count) threads")
          #expect(Trainer.weightsDigest(of: try current.branch().student) == branch, "\(count) threads")
        }
      }
      func divergence(_ change: (inout TrainingRecipe) -> Void) throws -> Double {
        let recipe = Fixture.recipe {
          ($0.swapProbability, $0.replayPerSample, $0.learningRate) = (0, 30, 0.005)
          change(&$0)
        }
        let trainer = try Self.start(recipe, base)
        _ = try Self.feed(trainer, inputs)
        let trunk = try #require(trainer.trunk)
        var batch = PackedBatch()
        batch.softShare = 1
        for case .sample(let sample) in inputs {
          let encoded = try trunk.encoder.encode(sample).get()
          batch.append(
            prompt: encoded.prompt, completion: encoded.answer,
            soft: LoggedTeacher(tokenizer: trunk.tokenizer, top: 0).targets(of: sample, in: encoded))
        }
        return try trunk.student.loss(batch).divergenceSum / Double(batch.softTargets.count)
      }
      let (taught, plainly) = (
        try divergence { ($0.distillTeacher, $0.distillWeight) = (TrainingRecipe.samples, 1) }, try divergence { _ in }
      )
      #expect(taught < 0.4 && plainly > 5 * taught, "\(taught) nats with the teacher, \(plainly) without")
    }
  }

  @Test("Log-probabilities of another tokenizer are refused, naming both digests; so is what else cannot be")
  func refused() throws {
    try Self.withBase { base, plain in
      let other = Digest.sha256("another tokenizer")
      let sample = Self.sample(0, try Self.logged(Self.parts(Fixture.sample(0).call), plain, digest: other))
      let trainer = try Self.start(Self.recipe, base)
      let error = #expect(throws: TrainingError.self) { try Self.feed(trainer, [.sample(sample), Fixture.cut(1)]) }
      #expect(error?.code == .invalidBase)
      let text = error?.description ?? ""
      #expect(
        text.contains(other.hex) && text.contains(plain.textDigest.hex) && text.contains("tokenizer.json"), "\(text)")
      // A student from scratch has tokens of its own.
      let scratch = try Trainer(recipe: Self.recipe, functions: Fixture.functions())
      #expect(throws: TrainingError.self) { try Self.feed(scratch, Self.stream(plain)) }
      // Who does not learn from them does not mind.
      _ = try Self.feed(try Self.start(Fixture.recipe(), base), [.sample(sample), Fixture.cut(1)])
      #expect(TrainingSample(json: sample.json) == sample)
    }
    #expect(throws: TrainingError.self) {
      try TrainingRecipe(json: ["distill_teacher": "samples", "distill_direction": "reverse"])
    }
    let recipe = try TrainingRecipe(json: ["distill_teacher": "samples", "clip_scope": "tensor"])
    #expect(recipe.distillsSamples && recipe.teacherDigest == nil)
  }
}
