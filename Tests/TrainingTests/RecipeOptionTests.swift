import Foundation
import ModelFiles
import StudentModel
import Testing
import Tokenization
import Topics
import Training

/// The options of a recipe that change how, or in how much memory, a student is trained.
@Suite("Recipe options", .serialized) struct RecipeOptionTests {
  static let options: [(name: String, change: @Sendable (inout TrainingRecipe) -> Void)] = [
    ("bf16", { $0.precision = .bf16 }),
    ("bf16 moments", { $0.optimizerState = .bf16 }),
    ("int8 moments", { $0.optimizerState = .int8 }),
    ("tensor clipping", { $0.clipScope = .tensor }),
    ("accumulation", { $0.accumulationSteps = 3 }),
    ("recomputation", { $0.recomputeActivations = 1 }),
    ("shared prefixes", { $0.sharePrefixes = 1 }),
    (
      "all of them",
      {
        $0.precision = .bf16
        $0.optimizerState = .int8
        $0.clipScope = .tensor
        $0.recomputeActivations = 1
        $0.dropout = 0.1
      }
    ),
  ]

  private func feed(_ trainer: Trainer, until end: Int = .max) throws {
    let inputs = Fixture.stream()
    while Int(trainer.position) < min(end, inputs.count) {
      try trainer.consume(inputs[Int(trainer.position)], offset: trainer.position)
    }
  }

  @Test("Every option has the same weights with 1, 2, 3 and 5 threads, and after being killed and resumed")
  func lawOne() throws {
    let threads = KernelPool.threads
    defer { KernelPool.setThreads(threads) }
    for (name, change) in Self.options {
      let recipe = Fixture.recipe(change)
      KernelPool.setThreads(1)
      let whole = try Trainer(recipe: recipe, functions: Fixture.functions())
      try feed(whole)
      let branch = Trainer.weightsDigest(of: try whole.branch().student)
      for count in [2, 3, 5] {
        KernelPool.setThreads(count)
        try Fixture.withFolder { folder in
          let store = CheckpointStore(folder: folder)
          var current = try Trainer(recipe: recipe, functions: Fixture.functions())
          for end in stride(from: 1 + count, through: Fixture.stream().count + count, by: 5) {
            try feed(current, until: end)
            let saved = try current.checkpoint(to: store)
            #expect(saved.numerics == recipe.numerics)
            current = try Trainer(restoring: saved.digest, from: store, recipe: recipe)
          }
          try feed(current)
          #expect(current.weightsDigest == whole.weightsDigest, "\(name), \(count) threads")
          #expect(Trainer.weightsDigest(of: try current.branch().student) == branch, "\(name), \(count) threads")
        }
      }
    }
  }

  @Test("Recomputation changes no bit, other options do, and every option learns")
  func learning() throws {
    func train(_ change: (inout TrainingRecipe) -> Void) throws -> (Digest?, Double) {
      let trainer = try Trainer(recipe: Fixture.recipe(change), functions: Fixture.functions())
      var losses: [Double] = []
      trainer.progress = { losses.append($0.meanLoss) }
      try feed(trainer)
      return (trainer.weightsDigest, losses.suffix(5).reduce(0, +) / losses.prefix(5).reduce(0, +))
    }
    let plain = try train { _ in }
    for (name, change) in Self.options {
      let found = try train(change)
      if name != "accumulation" { #expect((found.0 == plain.0) == (name == "recomputation"), "\(name)") }
      #expect(abs(found.1 - plain.1) < 0.15, "\(name): the loss fell to \(found.1), plainly to \(plain.1)")
    }
  }

  @Test("Adapters on a frozen base: threads, kills and resumes change no bit; released merged; the base is stored once")
  func adapters() throws {
    let threads = KernelPool.threads
    defer { KernelPool.setThreads(threads) }
    try Fixture.withFolder { folder in
      let base = try Fixture.base(in: folder)
      let recipe = Fixture.recipe {
        $0.precision = .bf16
        $0.loraRank = 4
        $0.loraTargets = "q,v,down"
        $0.learningRate = 0.01
      }
      func start() throws -> Trainer {
        let functions = try Fixture.functions()
        return try Trainer(recipe: recipe, functions: functions, base: BaseModel(folder: base, functions: functions))
      }
      KernelPool.setThreads(1)
      let whole = try start()
      let before = try #require(whole.student).merged()
      whole.student?.recomputesActivations = true
      #expect(whole.student?.merged().recomputesActivations == true && !before.recomputesActivations)
      whole.student?.recomputesActivations = false
      try feed(whole)
      #expect(whole.parameterCount == 4 * (32 + 32) + 4 * (32 + 16) + 4 * (64 + 32))
      let branch = try whole.branch().student
      #expect(branch.adapters == nil && branch.layout.count == before.layout.count)
      #expect(Trainer.weightsDigest(of: branch) != Trainer.weightsDigest(of: before))
      for count in [2, 3, 5] {
        KernelPool.setThreads(count)
        let store = CheckpointStore(folder: folder + "/store\(count)")
        var current = try start()
        var frozen: Set<Digest> = []
        for end in stride(from: count, through: Fixture.stream().count, by: 4) {
          try feed(current, until: end)
          let saved = try current.checkpoint(to: store)
          frozen.insert(try #require(saved.files.last))
          current = try Trainer(restoring: saved.digest, from: store, recipe: recipe)
        }
        try feed(current)
        #expect(frozen.count == 1)
        #expect(current.weightsDigest == whole.weightsDigest, "\(count) threads")
        #expect(
          Trainer.weightsDigest(of: try current.branch().student) == Trainer.weightsDigest(of: branch),
          "\(count) threads")
      }
    }
  }

  @Test("A checkpoint of another numerics version is refused by name")
  func numerics() throws {
    try Fixture.withFolder { folder in
      let store = CheckpointStore(folder: folder)
      let trainer = try Trainer(recipe: Fixture.recipe { $0.precision = .bf16 }, functions: Fixture.functions())
      try feed(trainer, until: 15)
      let saved = try trainer.checkpoint(to: store)
      #expect(saved.numerics == "retort-bf16-2")
      let digest = try Fixture.rewrite(saved.digest, in: store, "retort-bf16-2", "retort-bf16-0")
      let error = #expect(throws: TrainingError.self) { try Trainer(restoring: digest, from: store) }
      #expect(error?.code == .checkpointMismatch)
      #expect(
        error?.description.contains("retort-bf16-2") == true && error?.description.contains("retort-bf16-0") == true)
      // What it needs is known all the same.
      #expect(try store.files(of: digest) == [digest])
    }
  }

  @Test(
    "A checkpoint whose recipe has a key that is not known here is another program's; one that lacks a key has its default"
  )
  func otherKeys() throws {
    try Fixture.withFolder { folder in
      let store = CheckpointStore(folder: folder)
      let trainer = try Trainer(recipe: Fixture.recipe(), functions: Fixture.functions())
      try feed(trainer, until: 15)
      let saved = try trainer.checkpoint(to: store)
      let newer = try Fixture.rewrite(saved.digest, in: store, "base_until", "base_later")
      let error = #expect(throws: TrainingError.self) { try Trainer(restoring: newer, from: store) }
      #expect(error?.code == .checkpointMismatch)
      #expect(error?.context == store.path(of: newer) && error?.found.contains("base_later") == true)
      #expect(error?.advice.contains("use the program that wrote it") == true)
      #expect(try store.files(of: newer) == [newer])
      let key = #"\"base_until\":6000,"#
      let older = try Fixture.rewrite(saved.digest, in: store, key, String(repeating: " ", count: key.utf8.count))
      let copy = try Trainer(restoring: older, from: store, recipe: Fixture.recipe())
      #expect(copy.weightsDigest == trainer.weightsDigest)
      #expect(try copy.checkpoint(to: store).digest == saved.digest)
    }
  }

  @Test(
    "Options that do not fit each other, or are unknown, are refused",
    arguments: [
      ["precision": "fp16"], ["precision": 16], ["optimizer_state": "int4"], ["clip_scope": "layer"],
      ["accumulation_steps": 0], ["accumulation_steps": 2, "clip_scope": "tensor"], ["recompute_activations": 2],
      ["share_prefixes": -1],
      ["lora_rank": 8], ["lora_rank": -1], ["lora_rank": 8, "precision": "bf16", "clip_scope": "tensor"],
      ["lora_rank": 8, "precision": "bf16", "lora_targets": "q,q"],
      ["lora_rank": 8, "precision": "bf16", "lora_targets": "q,w"],
      ["lora_rank": 8, "precision": "bf16", "lora_targets": ""], ["lora_alpha": 0],
    ] as [JSON])
  func refused(json: JSON) {
    let error = #expect(throws: TrainingError.self) { try TrainingRecipe(json: json) }
    #expect(error?.code == .invalidRecipe)
  }

  @Test("Adapters without a base are refused")
  func noBase() throws {
    let recipe = Fixture.recipe {
      $0.precision = .bf16
      $0.loraRank = 4
    }
    let error = #expect(throws: TrainingError.self) { try Trainer(recipe: recipe, functions: Fixture.functions()) }
    #expect(error?.code == .invalidRecipe)
  }
}
