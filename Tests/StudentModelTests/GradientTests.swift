import CKernels
import StudentModel
import Testing

/// The backward pass against differences of the forward pass.
@Suite(.serialized) struct GradientTests {
  /// (L(p + h·d) − L(p − h·d)) / 2h against ⟨gradient, d⟩, d being ±1 on a subset of one tensor.
  static func compare(_ student: Student, entry: ParameterLayout.Entry, loss: () throws -> Double, gradients: [Float])
    throws
  {
    let indices = stride(from: entry.offset, to: entry.offset + entry.count, by: max(1, entry.count / 23))
    let step: Float = 4e-3
    var expected = 0.0
    var directions: [(Int, Float)] = []
    for index in indices {
      let direction: Float = gradients[index] >= 0 ? 1 : -1
      directions.append((index, direction))
      expected += Double(gradients[index] * direction)
    }
    let before = directions.map { student.parameters[$0.0] }
    for (index, direction) in directions { student.parameters[index] += step * direction }
    let above = try loss()
    for (at, value) in zip(directions, before) { student.parameters[at.0] = value - step * at.1 }
    let below = try loss()
    for (at, value) in zip(directions, before) { student.parameters[at.0] = value }
    let found = (above - below) / Double(2 * step)
    #expect(abs(found - expected) < 2e-3 + 0.02 * abs(expected), "\(entry.name): \(found) against \(expected)")
  }

  @Test("every tensor's gradient agrees with finite differences")
  func crossEntropy() throws {
    let student = try Student(configuration: Small.configuration, seed: 3)
    let batch = Small.batch([5, 9, 1])
    let dropout = Dropout(rate: 0.2, seed: 9, step: 4)
    for mask in [nil, dropout] {
      _ = try student.forwardBackward(batch, dropout: mask)
      let gradients = Array(student.gradients)
      for entry in student.layout.entries {
        try Self.compare(
          student, entry: entry, loss: { try student.forwardBackward(batch, dropout: mask).meanLoss },
          gradients: gradients)
      }
    }
  }

  @Test("the gradient of the divergence from a teacher agrees with finite differences")
  func divergence() throws {
    let student = try Student(configuration: Small.configuration, seed: 3)
    let teacher = try Student(configuration: Small.configuration, seed: 4)
    let batch = Small.batch([5, 9, 1])
    let logits = try teacher.forward(batch)
    func loss() throws -> Double {
      try logits.withUnsafeBufferPointer {
        try student.forwardBackward(batch, teacherLogits: $0, klWeight: 0.7).meanLoss
      }
    }
    _ = try loss()
    let gradients = Array(student.gradients)
    for entry in student.layout.entries {
      try Self.compare(student, entry: entry, loss: loss, gradients: gradients)
    }
  }

  @Test(
    "the gradients of reverse divergences and of divergences with a tail agree with finite differences",
    arguments: [
      DistillationLoss(.forward, top: 3), DistillationLoss(.reverse), DistillationLoss(.reverse, top: 3),
    ])
  func otherDivergences(loss: DistillationLoss) throws {
    let student = try Student(configuration: Small.configuration, seed: 3)
    let teacher = try Student(configuration: Small.configuration, seed: 4)
    let batch = Small.batch([5, 9, 1])
    let logits = try teacher.forward(batch)
    let own = try student.forward(batch)
    func mean() throws -> Double {
      try logits.withUnsafeBufferPointer {
        try student.forwardBackward(batch, teacherLogits: $0, klWeight: 0.7, loss: loss).meanLoss
      }
    }
    _ = try mean()
    let gradients = Array(student.gradients)
    for entry in student.layout.entries {
      try Self.compare(student, entry: entry, loss: mean, gradients: gradients)
    }
    let divergence = try own.withUnsafeBufferPointer { try student.loss(batch, teacherLogits: $0, loss: loss) }
    #expect(abs(divergence.divergenceSum) < 1e-4, "nothing from itself")
    #expect(throws: StudentError.self) {
      try logits.withUnsafeBufferPointer {
        try student.loss(batch, teacherLogits: $0, loss: DistillationLoss(top: 257))
      }
    }
  }

  /// A batch of which half of the targets have a soft one.
  static func softBatch() -> PackedBatch {
    var batch = Small.batch([5, 9, 1, 61, 7, 33])
    batch.softShare = 0.7
    for (index, row) in batch.targetRows.enumerated() where index % 2 == 0 {
      let tokens = (0..<Int32(1 + index % 4)).map { ($0 * 17 + row) % 67 }
      batch.softTargets.append(
        SoftTarget(row: row, tokens: tokens, logprobs: tokens.indices.map { -0.75 - Float($0) * 1.5 }))
    }
    return batch
  }

  @Test("the gradient of soft targets with a tail agrees with finite differences; what fits no row is refused")
  func softTargets() throws {
    let student = try Student(configuration: Small.configuration, seed: 3)
    let batch = Self.softBatch()
    let plain = Small.batch([5, 9, 1, 61, 7, 33])
    let report = try student.forwardBackward(batch)
    let gradients = Array(student.gradients)
    for entry in student.layout.entries {
      try Self.compare(
        student, entry: entry, loss: { try student.forwardBackward(batch).meanLoss }, gradients: gradients)
    }
    #expect(report.crossEntropySum == (try student.loss(plain).crossEntropySum))
    var silent = batch
    silent.softShare = 0
    #expect(try student.loss(silent) == student.loss(plain))
    // Sequences take their soft targets with them.
    let parts = try batch.split(into: 3).map { try student.loss($0) }.reduce(LossReport(), +)
    #expect(abs(parts.lossSum - report.lossSum) < 1e-9 * report.lossSum && batch.split(into: 3).count == 3)
    let changes: [(inout PackedBatch) -> Void] = [
      { $0.softShare = 1.5 }, { $0.softTargets[0].row = 0 }, { $0.softTargets.swapAt(0, 1) },
      { $0.softTargets[0] = SoftTarget(row: $0.softTargets[0].row, tokens: [67], logprobs: [-1]) },
      { $0.softTargets[0] = SoftTarget(row: $0.softTargets[0].row, tokens: [3, 3], logprobs: [-1, -1]) },
      { $0.softTargets[0] = SoftTarget(row: $0.softTargets[0].row, tokens: [], logprobs: []) },
      { $0.softTargets[0] = SoftTarget(row: $0.softTargets[0].row, tokens: [3], logprobs: [.nan]) },
    ]
    for change in changes {
      var wrong = batch
      change(&wrong)
      #expect(throws: StudentError.self) { try student.loss(wrong) }
    }
    let logits = try student.forward(batch)
    #expect(throws: StudentError.self) {
      try logits.withUnsafeBufferPointer { try student.loss(batch, teacherLogits: $0) }
    }
    let certain = SoftTarget(row: 1, tokens: [3, 4], logprobs: [0, 0])
    #expect(certain.probabilities == [0.5, 0.5] && certain.tail == 0)
  }

  @Test("soft targets have the same bits with 1, 2, 3 and 5 threads, and at every level this machine has")
  func softDeterminism() throws {
    let (threads, level) = (KernelPool.threads, retort_kernels_level())
    defer {
      KernelPool.setThreads(threads)
      retort_kernels_select(level)
    }
    let student = try Student(configuration: Small.configuration, seed: 3)
    let batch = Self.softBatch()
    KernelPool.setThreads(1)
    let expected = (try student.forwardBackward(batch), student.gradients.map(\.bitPattern))
    for count in [2, 3, 5] {
      KernelPool.setThreads(count)
      let found = (try student.forwardBackward(batch), student.gradients.map(\.bitPattern))
      #expect(found.0 == expected.0 && found.1 == expected.1, "\(count) threads")
    }
    for level in [RETORT_LEVEL_PORTABLE, RETORT_LEVEL_AVX2, RETORT_LEVEL_AVX512, RETORT_LEVEL_AVX512_BF16]
    where level.rawValue <= retort_kernels_best().rawValue {
      retort_kernels_select(level)
      let found = (try student.forwardBackward(batch), student.gradients.map(\.bitPattern))
      #expect(found.0 == expected.0 && found.1 == expected.1, "level \(level.rawValue)")
    }
  }

  @Test(
    "the gradient of the clipped surrogate with a reference agrees with finite differences",
    arguments: [false, true])
  func policy(hasMoved: Bool) throws {
    let student = try Student(configuration: Small.configuration, seed: 3)
    let reference = try Student(configuration: Small.configuration, seed: 4)
    let batch = Small.batch([5, 9, 1])
    let logits = try reference.forward(batch)
    let now = try student.logProbabilities(batch)
    // Some tokens have become more likely since, some less, some beyond the bounds; none is at a bound, where there is a kink.
    let sampled = now.enumerated().map { $1 + [0.8, 0.08, -0.08, -0.8][$0 % 4] }
    let advantages = now.indices.map { Float($0 % 3) - 0.8 }
    let signal = PolicySignal(advantages: advantages, sampledLogProbabilities: hasMoved ? sampled : nil)
    func mean() throws -> Double {
      // The probabilities at which the answers were sampled stay, whatever is changed.
      var signal = signal
      signal.sampledLogProbabilities = hasMoved ? sampled : now
      return try logits.withUnsafeBufferPointer {
        try student.forwardBackward(batch, policy: signal, referenceLogits: $0, klWeight: 0.3).meanLoss
      }
    }
    _ = try logits.withUnsafeBufferPointer {
      try student.forwardBackward(batch, policy: signal, referenceLogits: $0, klWeight: 0.3)
    }
    let gradients = Array(student.gradients)
    for entry in student.layout.entries {
      try Self.compare(student, entry: entry, loss: mean, gradients: gradients)
    }
    var short = signal
    short.advantages.removeLast()
    #expect(throws: StudentError.self) { try student.forwardBackward(batch, policy: short) }
  }

  @Test("beyond its bound a token no longer counts, on the side where it would go on")
  func clipping() throws {
    let student = try Student(configuration: Small.configuration, seed: 3)
    let batch = Small.batch([5])
    let now = try student.logProbabilities(batch)
    func gradient(_ advantage: Float, _ change: Float) throws -> Float {
      let signal = PolicySignal(
        advantages: now.map { _ in advantage }, sampledLogProbabilities: now.map { $0 - change }, clipLow: 0.2,
        clipHigh: 0.3)
      _ = try student.forwardBackward(batch, policy: signal)
      return student.gradients.map(abs).max() ?? 0
    }
    // e^0.25 = 1.28 and e^0.3 = 1.35; e^−0.2 = 0.82 and e^−0.25 = 0.78.
    #expect(try gradient(1, 0.25) > 0 && gradient(1, 0.3) == 0 && gradient(1, -2) > 0)
    #expect(try gradient(-1, -0.2) > 0 && gradient(-1, -0.25) == 0 && gradient(-1, 2) > 0)
  }

  @Test("accumulated gradients of two halves are the gradient of the whole")
  func accumulation() throws {
    let student = try Student(configuration: Small.configuration, seed: 3)
    let whole = Small.batch([5, 9, 12, 4])
    _ = try student.forwardBackward(whole)
    let expected = Array(student.gradients)
    var halves = [PackedBatch(), PackedBatch()]
    for index in 0..<4 {
      let rows = Int(whole.sequenceStarts[index])..<Int(whole.sequenceStarts[index + 1])
      halves[index / 2].append(
        tokens: Array(whole.tokens[rows]), targets: Array(whole.targets[rows]), weight: whole.weights[rows.lowerBound])
    }
    let total = whole.targetRows.reduce(Float(0)) { $0 + whole.weights[Int($1)] }
    _ = try student.forwardBackward(halves[0], normalizer: total)
    _ = try student.forwardBackward(halves[1], accumulate: true, normalizer: total)
    #expect(relativeDifference(student.gradients, expected) < 1e-4)
  }
}
