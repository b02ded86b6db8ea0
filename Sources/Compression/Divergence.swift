package import StudentModel

/// How far students have moved from the one that they are made from, on a fixed set of requests.
package struct Divergence {
  private let batch: PackedBatch
  private let logits: [Float]

  /// Keeps the parent's predictions; nil where no token is asked for.
  ///
  /// - Parameter maximumRows: about how many tokens of the batches are used, from the start.
  package init?(from parent: Student, on batches: [PackedBatch], maximumRows: Int) throws {
    var batch = PackedBatch()
    for source in batches {
      for (start, end) in zip(source.sequenceStarts, source.sequenceStarts.dropFirst())
      where batch.rowCount < maximumRows {
        let rows = Int(start)..<Int(end)
        batch.append(tokens: Array(source.tokens[rows]), targets: Array(source.targets[rows]))
      }
    }
    guard !batch.targetRows.isEmpty else { return nil }
    self.batch = batch
    logits = try parent.forward(batch)
  }

  /// About how many tokens are worth measuring on with a model of that size: many for a tiny one, 256 for a large one.
  static func rows(parameters: Int) -> Int { max(256, min(4_096, 20_000_000_000 / max(1, parameters))) }

  /// The mean KL(parent ‖ student) of a target token, in nats.
  func callAsFunction(_ student: Student) throws -> Double {
    let report = try logits.withUnsafeBufferPointer { try student.loss(batch, teacherLogits: $0) }
    return report.divergenceSum / max(report.weightSum, 1e-30)
  }
}
