import StudentModel
import Testing

/// The backward pass against differences of the forward pass.
@Suite struct GradientTests {
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
