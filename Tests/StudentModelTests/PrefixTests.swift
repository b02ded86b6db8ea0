import CKernels
import ModelFiles
import StudentModel
import Testing

/// Rows with which several sequences begin, computed once.
@Suite struct PrefixTests {
  private func student(_ seed: UInt64 = 3, shares: Bool) throws -> Student {
    let student = try Student(configuration: Small.configuration, seed: seed)
    student.sharesPrefixes = shares
    return student
  }

  @Test("sequences that begin alike continue one sequence, in the grouping that leaves the fewest rows")
  func layout() {
    let batch = Small.families()
    let shared = batch.sharingPrefixes(mergingTargets: true)
    #expect(shared.continued == [-1, 0, -1, 2, 0, 2, -1, 0])
    #expect(shared.sequenceStarts == [0, 20, 27, 36, 66, 67, 71, 96, 140])
    #expect(batch.rowCount - shared.rowCount == 2 * 20 + 9)
    #expect(Array(shared.tokens[..<27]) == Array(batch.tokens[..<27]))
    #expect(Array(shared.tokens[27..<36]) == Array(batch.tokens[27..<36]))
    #expect(Array(shared.tokens[66..<67]) == [batch.tokens[27 + 39 + 20]])
    // The weights of the first, third and last sequence, and of the second and fourth.
    #expect(shared.weights[0] == 1 + 1.5 + 2.25 && shared.weights[27] == 1.25 + 1.75)
    #expect(shared.weights[20] == 1 && shared.weights[36] == 1.25)
    #expect(shared.targetWeight == batch.targetWeight)
    // What has no target is shared where targets stay: the first row alone, too little to be worth it.
    #expect(batch.sharingPrefixes(mergingTargets: false) == batch)
  }

  @Test("each sequence keeps a row of its own, and what is too short or not alike is left")
  func limits() {
    var same = PackedBatch()
    for _ in 0..<3 { same.append(tokens: Array(1...12), targets: Array(2...13)) }
    let shared = same.sharingPrefixes(mergingTargets: true)
    #expect(shared.sequenceStarts == [0, 11, 12, 13, 14] && shared.continued == [-1, 0, 0, 0])
    #expect(shared.weights == [Float](repeating: 3, count: 11) + [1, 1, 1])
    var short = PackedBatch()
    for last in 20...22 { short.append(tokens: Array(1...7) + [Int32(last)], targets: [Int32](repeating: 5, count: 8)) }
    #expect(short.sharingPrefixes(mergingTargets: true) == short)
    #expect(PackedBatch().sharingPrefixes(mergingTargets: true) == PackedBatch())
    // A system message, and a longer one within it: what saves most.
    var nested = PackedBatch()
    for (stem, own) in [(10, 40), (10, 41), (30, 42), (30, 43), (30, 44)] {
      nested.append(
        tokens: (0..<Int32(stem)).map { $0 } + [Int32(own), 50], targets: [Int32](repeating: -1, count: stem + 1) + [1])
    }
    let one = nested.sharingPrefixes(mergingTargets: false)
    #expect(one.continued == [-1, 0, 0, -1, 3, 3, 3] && nested.rowCount - one.rowCount == 10 + 60)
  }

  @Test("prompts without targets are shared, answers are not, and every soft target stays at its row")
  func prompts() throws {
    let prompt = (0..<20).map { Int32($0 * 3 % 67) }
    var batch = PackedBatch()
    batch.softShare = 0.5
    for answer: Int32 in 1...3 {
      batch.append(
        prompt: prompt, completion: [9, 10 + answer, 4],
        soft: [SoftTarget(row: 1, tokens: [10 + answer, 30], logprobs: [-0.1, -3])])
    }
    let shared = batch.sharingPrefixes(mergingTargets: true)
    // The row that asks for the answer's first token has the same target in all; the second has soft targets.
    #expect(shared.sequenceStarts == [0, 20, 22, 24, 26])
    #expect(shared.softTargets.map(\.row) == [20, 22, 24])
    #expect(shared.softTargets.map(\.tokens) == batch.softTargets.map(\.tokens))
    let kept = batch.sharingPrefixes(mergingTargets: false)
    #expect(kept.sequenceStarts == [0, 19, 22, 25, 28] && kept.targetRows.count == batch.targetRows.count)
    for batch in [batch, Small.families()] {
      let (plain, sharing) = (try student(shares: false), try student(shares: true))
      let (a, b) = (try plain.forwardBackward(batch), try sharing.forwardBackward(batch))
      #expect(abs(a.meanLoss - b.meanLoss) < 1e-6 && abs(a.divergenceSum - b.divergenceSum) < 1e-6)
      #expect(relativeDifference(sharing.gradients, Array(plain.gradients)) < 1e-5)
    }
  }

  @Test("logits, losses and probabilities have the same bits")
  func forward() throws {
    let (plain, sharing) = (try student(shares: false), try student(shares: true))
    var batch = PackedBatch()
    for answer: Int32 in 1...5 { batch.append(prompt: Array(1...40), completion: [answer, 7, answer + 1, 9]) }
    #expect(batch.sharingPrefixes(mergingTargets: false).rowCount == 39 + 5 * 4)
    #expect(try plain.forward(batch).map(\.bitPattern) == sharing.forward(batch).map(\.bitPattern))
    #expect(try plain.loss(batch) == sharing.loss(batch))
    #expect(
      try plain.logProbabilities(batch).map(\.bitPattern) == sharing.logProbabilities(batch).map(\.bitPattern))
    let rows: [Int32] = [0, 3, 44, 90]
    #expect(try plain.forward(batch, rows: rows) == sharing.forward(batch, rows: rows))
  }

  @Test("gradients agree with those of every sequence by itself, for every objective and way of computing")
  func gradients() throws {
    var batch = PackedBatch()
    for answer: Int32 in 1...4 {
      batch.append(prompt: Array(1...30), completion: [answer, 7, answer + 1], weight: Float(answer))
    }
    let teacher = try student(8, shares: false).forward(batch)
    let policy = PolicySignal(
      advantages: batch.targetRows.indices.map { Float($0 % 3) - 1 }, sampledLogProbabilities: nil)
    func expectSame(_ change: (Student) -> Void = { _ in }, _ run: (Student) throws -> LossReport) throws {
      let (plain, sharing) = (try student(shares: false), try student(shares: true))
      change(plain)
      change(sharing)
      let (a, b) = (try run(plain), try run(sharing))
      #expect(abs(a.meanLoss - b.meanLoss) < 1e-6 * max(1, abs(a.meanLoss)) && a.targetCount >= b.targetCount)
      #expect(relativeDifference(sharing.gradients, Array(plain.gradients)) < 1e-5)
    }
    try expectSame { try $0.forwardBackward(batch) }
    try expectSame({ $0.recomputesActivations = true }) { try $0.forwardBackward(batch) }
    try expectSame {
      _ = try $0.forwardBackward(batch, normalizer: 3)
      return try $0.forwardBackward(Small.families(), accumulate: true, normalizer: 3)
    }
    try expectSame { student in
      try teacher.withUnsafeBufferPointer {
        try student.forwardBackward(batch, teacherLogits: $0, klWeight: 0.5)
      }
    }
    try expectSame { try $0.forwardBackward(batch, policy: policy) }
  }

  @Test("in bf16 sharing is no further from fp32 than not sharing is")
  func halfPrecision() throws {
    func gradients(_ precision: Precision, shares: Bool) throws -> [Float] {
      let student = try Student(configuration: Small.configuration, seed: 3, precision: precision)
      student.sharesPrefixes = shares
      _ = try student.forwardBackward(Small.families())
      return Array(student.gradients)
    }
    let exact = try gradients(.fp32, shares: false)
    let apart = relativeDifference(try gradients(.bf16, shares: false), exact)
    let together = relativeDifference(try gradients(.bf16, shares: true), exact)
    #expect(together < 1.3 * apart, "\(together), without \(apart)")
  }

  @Test("adapters learn the same, and gradients that are handed over too")
  func adapters() throws {
    let base = try Student(configuration: Small.configuration, seed: 5)
    func gradients(_ shares: Bool) throws -> [Float] {
      let student = try Student(
        configuration: Small.configuration, adapters: AdapterSettings(rank: 4, alpha: 8), seed: 2
      ) { entry, target in target.update(from: base.parameters.baseAddress! + entry.offset, count: entry.count) }
      student.sharesPrefixes = shares
      for index in student.parameters.indices { student.parameters[index] += Float(index % 7) / 100 }
      _ = try student.forwardBackward(Small.families())
      return Array(student.gradients)
    }
    // bf16 operands are rounded, here after a sum over the sequences, there before.
    #expect(relativeDifference(try gradients(true), try gradients(false)) < 0.1)
    let sharing = try student(shares: true)
    _ = try sharing.forwardBackward(Small.families())
    let whole = Array(sharing.gradients)
    var handed = [Float](repeating: 0, count: whole.count)
    _ = try sharing.forwardBackward(Small.families()) { range, gradient in
      for index in range { handed[index] = gradient[index - range.lowerBound] }
    }
    #expect(handed == whole)
  }
}
