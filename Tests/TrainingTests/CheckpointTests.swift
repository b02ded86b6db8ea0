import Foundation
import Testing
import Topics
import Training

@Suite("Checkpoints", .serialized) struct CheckpointTests {
  private func trainer(_ recipe: TrainingRecipe = Fixture.recipe()) throws -> Trainer {
    try Trainer(recipe: recipe, functions: try Fixture.functions())
  }

  /// Feeds the fixture stream from the trainer's position on.
  private func feed(_ trainer: Trainer, until end: Int = .max) throws {
    let inputs = Fixture.stream()
    while Int(trainer.position) < min(end, inputs.count) {
      try trainer.consume(inputs[Int(trainer.position)], offset: trainer.position)
    }
  }

  @Test("Stopping and going on after every single record gives the same weights, branch and checkpoint")
  func everyRecord() throws {
    try Fixture.withFolder { folder in
      let store = CheckpointStore(folder: folder)
      let whole = try trainer()
      try feed(whole)
      let expected = try whole.checkpoint(to: store)
      var current = try trainer()
      for end in 1...Fixture.stream().count {
        try feed(current, until: end)
        let saved = try current.checkpoint(to: store)
        current = try Trainer(restoring: saved.digest, from: store)
      }
      #expect(current.weightsDigest == whole.weightsDigest)
      #expect(current.chain == whole.chain)
      #expect(try current.checkpoint(to: store).digest == expected.digest)
      let branches = [try whole.branch(), try current.branch()].map { Trainer.weightsDigest(of: $0.student) }
      #expect(branches[0] == branches[1])
    }
  }

  @Test("Stopping between the pieces of work that are due gives the same weights")
  func betweenEvents() throws {
    try Fixture.withFolder { folder in
      let store = CheckpointStore(folder: folder)
      let whole = try trainer()
      try feed(whole)
      var current = try trainer()
      var restarts = 0
      for (offset, input) in Fixture.stream().enumerated() {
        try current.enqueue(input, offset: Int64(offset))
        while current.isWorkDue {
          _ = try current.advance()
          current = try Trainer(restoring: try current.checkpoint(to: store).digest, from: store)
          restarts += 1
        }
      }
      #expect(restarts >= 8)
      #expect(current.weightsDigest == whole.weightsDigest)
    }
  }

  @Test("A killed process goes on from its last checkpoint and reads the records since again")
  func killed() throws {
    try Fixture.withFolder { folder in
      let store = CheckpointStore(folder: folder)
      let whole = try trainer()
      try feed(whole)
      let first = try trainer()
      try feed(first, until: 16)
      let saved = try first.checkpoint(to: store)
      try feed(first, until: 21)
      let second = try Trainer(
        restoring: saved.digest, from: store, recipe: Fixture.recipe(), functions: try Fixture.functions())
      #expect(second.position == 16)
      try feed(second)
      #expect(second.weightsDigest == whole.weightsDigest)
    }
  }

  @Test("A checkpoint says what it contains")
  func summary() throws {
    try Fixture.withFolder { folder in
      let store = CheckpointStore(folder: folder)
      let trainer = try trainer()
      try feed(trainer)
      let saved = try trainer.checkpoint(to: store)
      let summary = try store.summary(of: saved.digest)
      #expect(summary == saved)
      #expect(summary.position == Int64(Fixture.stream().count))
      #expect(summary.releasePoints == 2)
      #expect(summary.samplesLearned == 26)
      #expect(summary.recipe == Fixture.recipe())
      #expect(summary.files == [saved.digest])
      #expect(summary.bytes > 3 * 4 * trainer.parameterCount)
    }
  }

  @Test("Full segments of samples are files of their own, written once and again only where something was erased")
  func segments() throws {
    try Fixture.withFolder { folder in
      let store = CheckpointStore(folder: folder)
      let trainer = try trainer(Fixture.recipe { $0.tokenizerSamples = 1_000_000 })
      for index in 0..<5_000 { try trainer.enqueue(.sample(Fixture.sample(index)), offset: Int64(index)) }
      let first = try trainer.checkpoint(to: store)
      #expect(first.files.count == 3)
      try trainer.enqueue(.tombstone("r2100"), offset: 5_000)
      let second = try trainer.checkpoint(to: store)
      #expect(second.files[1] == first.files[1])
      #expect(second.files[2] != first.files[2])
      let copy = try Trainer(restoring: second.digest, from: store)
      #expect(copy.pendingSamples == 4_999)
      #expect(try copy.checkpoint(to: store).digest == second.digest)
      try FileManager.default.removeItem(atPath: store.path(of: second.files[2]))
      let error = #expect(throws: TrainingError.self) { try Trainer(restoring: second.digest, from: store) }
      #expect(error?.code == .checkpointNotFound)
      #expect(try trainer.checkpoint(to: store).digest == second.digest)
      #expect(store.contains(second.files[2]))
    }
  }

  @Test("Truncated and bit-flipped checkpoints are refused with one clear sentence")
  func damage() throws {
    try Fixture.withFolder { folder in
      let store = CheckpointStore(folder: folder)
      let trainer = try trainer()
      try feed(trainer, until: 15)
      let saved = try trainer.checkpoint(to: store)
      let path = store.path(of: saved.digest)
      let good = try Data(contentsOf: URL(fileURLWithPath: path))
      for position in [3, 200, good.count / 2, good.count - 1] {
        var bad = good
        bad[position] ^= 16
        try bad.write(to: URL(fileURLWithPath: path))
        let error = #expect(throws: TrainingError.self) { try Trainer(restoring: saved.digest, from: store) }
        #expect(error?.code == .checkpointDamaged)
        #expect(error?.description.contains(saved.digest.hex) == true)
        #expect(error?.advice.contains("delete the file and start over") == true)
      }
      for length in [0, 7, 100, good.count - 1] {
        try good.prefix(length).write(to: URL(fileURLWithPath: path))
        #expect(throws: TrainingError.self) { try Trainer(restoring: saved.digest, from: store) }
      }
      try good.write(to: URL(fileURLWithPath: path))
      #expect(try Trainer(restoring: saved.digest, from: store).weightsDigest == trainer.weightsDigest)
    }
  }

  @Test("A checkpoint of another recipe or other functions, and one that is not there, are refused")
  func mismatch() throws {
    try Fixture.withFolder { folder in
      let store = CheckpointStore(folder: folder)
      let saved = try trainer().checkpoint(to: store)
      let recipe = Fixture.recipe { $0.seed = 99 }
      let one = #expect(throws: TrainingError.self) {
        try Trainer(restoring: saved.digest, from: store, recipe: recipe)
      }
      #expect(one?.code == .checkpointMismatch)
      #expect(one?.found.hasSuffix("which has seed 7 instead of 99") == true)
      let functions = try FunctionSet(json: .array(Array((Fixture.functionsJSON.arrayValue ?? []).prefix(2))))
      let two = #expect(throws: TrainingError.self) {
        try Trainer(restoring: saved.digest, from: store, functions: functions)
      }
      #expect(two?.code == .checkpointMismatch)
      let three = #expect(throws: TrainingError.self) {
        try Trainer(restoring: Digest.sha256([]), from: store)
      }
      #expect(three?.code == .checkpointNotFound)
    }
  }

  @Test("A folder that cannot be written gives a clear error and leaves the checkpoints before")
  func unwritable() throws {
    try Fixture.withFolder { folder in
      let store = CheckpointStore(folder: folder)
      let trainer = try trainer()
      let saved = try trainer.checkpoint(to: store)
      try "in the way".write(toFile: folder + "-file", atomically: true, encoding: .utf8)
      defer { try? FileManager.default.removeItem(atPath: folder + "-file") }
      let error = #expect(throws: TrainingError.self) {
        try trainer.checkpoint(to: CheckpointStore(folder: folder + "-file/store"))
      }
      #expect(error?.code == .io)
      #expect(try store.summary(of: saved.digest) == saved)
    }
  }
}
