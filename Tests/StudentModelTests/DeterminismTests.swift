import CKernels
import ModelFiles
import StudentModel
import Testing

/// What bits may and may not depend on. Serialized, because the pool's size and level belong to the process; other suites that run
/// meanwhile cannot tell.
@Suite(.serialized) struct DeterminismTests {
  /// The gradients' bits and the report after one pass with dropout.
  static func pass(_ batch: PackedBatch, sharesPrefixes: Bool = false) throws -> ([UInt32], LossReport) {
    let student = try Student(configuration: Small.configuration, seed: 11)
    student.sharesPrefixes = sharesPrefixes
    let report = try student.forwardBackward(batch, dropout: Dropout(rate: 0.1, seed: 5, step: 2))
    return (student.gradients.map(\.bitPattern), report)
  }

  @Test("a training pass has the same bits with 1, 2, 3 and 5 threads", arguments: [false, true])
  func threads(sharesPrefixes: Bool) throws {
    let before = KernelPool.threads
    defer { KernelPool.setThreads(before) }
    let batch = sharesPrefixes ? Small.families() : Small.batch([61, 5, 33, 17, 29, 64, 1, 40, 90, 7])
    KernelPool.setThreads(1)
    let expected = try Self.pass(batch, sharesPrefixes: sharesPrefixes)
    for count in [2, 3, 5] {
      KernelPool.setThreads(count)
      let found = try Self.pass(batch, sharesPrefixes: sharesPrefixes)
      #expect(found.0 == expected.0, "\(count) threads")
      #expect(found.1 == expected.1)
    }
  }

  @Test("a training pass has the same bits at every level this machine has", arguments: [false, true])
  func levels(sharesPrefixes: Bool) throws {
    let before = retort_kernels_level()
    defer { retort_kernels_select(before) }
    let batch = sharesPrefixes ? Small.families() : Small.batch()
    retort_kernels_select(RETORT_LEVEL_PORTABLE)
    let expected = try Self.pass(batch, sharesPrefixes: sharesPrefixes)
    for level in [RETORT_LEVEL_AVX2, RETORT_LEVEL_AVX512, RETORT_LEVEL_AVX512_BF16]
    where level.rawValue <= retort_kernels_best().rawValue {
      #expect(retort_kernels_select(level) == level)
      let found = try Self.pass(batch, sharesPrefixes: sharesPrefixes)
      #expect(found.0 == expected.0, "level \(level.rawValue)")
      #expect(found.1 == expected.1)
    }
  }

  @Test("a sequence's logits and loss have the same bits alone, packed with others, and in any place")
  func batchComposition() throws {
    let student = try Student(configuration: Small.configuration, seed: 11)
    let lengths = [5, 1, 61, 7, 33]
    let packed = Small.batch(lengths)
    let logits = try student.forward(packed)
    var row = 0
    for (index, length) in lengths.enumerated() {
      var alone = PackedBatch()
      let (tokens, targets) = Small.sequence(length, seed: UInt64(index))
      alone.append(tokens: tokens, targets: targets)
      let own = try student.forward(alone)
      let count = own.count
      #expect(own.map(\.bitPattern) == logits[row..<row + count].map(\.bitPattern), "sequence \(index)")
      row += count
      var behind = PackedBatch()
      behind.append(tokens: [1, 2, 3], targets: [-1, -1, -1])
      behind.append(tokens: tokens, targets: targets)
      #expect(try student.loss(behind) == student.loss(alone))
    }
    #expect(row == logits.count)
  }

  @Test("asking for more rows changes no row")
  func requestedRows() throws {
    let student = try Student(configuration: Small.configuration, seed: 11)
    let batch = Small.batch()
    let all = try student.forward(batch, rows: (0..<Int32(batch.rowCount)).map { $0 })
    let some = try student.forward(batch)
    let V = Small.configuration.vocabularySize
    for (index, row) in batch.targetRows.enumerated() {
      #expect(
        some[index * V..<(index + 1) * V].map(\.bitPattern) == all[Int(row) * V..<(Int(row) + 1) * V].map(\.bitPattern))
    }
  }

  @Test("a batch after a larger one has the bits it has in a fresh student")
  func reusedBuffers() throws {
    let student = try Student(configuration: Small.configuration, seed: 11)
    let (large, small) = (Small.batch([90, 64, 33]), Small.batch([3, 8]))
    _ = try student.forwardBackward(large)
    _ = try student.forwardBackward(small)
    let fresh = try Student(configuration: Small.configuration, seed: 11)
    _ = try fresh.forwardBackward(small)
    #expect(student.gradients.map(\.bitPattern) == fresh.gradients.map(\.bitPattern))
  }

  @Test("dropout depends on seed and step, and only on them")
  func dropout() throws {
    let student = try Student(configuration: Small.configuration, seed: 11)
    let batch = Small.batch()
    func loss(_ seed: UInt64, _ step: UInt64) throws -> Double {
      try student.forwardBackward(batch, dropout: Dropout(rate: 0.3, seed: seed, step: step)).lossSum
    }
    let first = try loss(1, 1)
    #expect(try loss(1, 1) == first)
    #expect(try loss(1, 2) != first)
    #expect(try loss(2, 1) != first)
    let without = try student.forwardBackward(batch)
    #expect(try student.forwardBackward(batch, dropout: Dropout(rate: 0, seed: 1, step: 1)) == without)
  }
}
