import CKernels
import StudentModel
import Testing

/// Against PyTorch and transformers; the files' command stands in Goldens/make_goldens.py.
@Suite struct GoldenTests {
  static let tolerance = 1e-4

  static func student(_ name: String) throws -> (Golden, Student) {
    let golden = try Golden.read(name)
    let parameters = try Golden.floats("\(name).parameters.f32")
    return (golden, try Student(configuration: golden.configuration, parameters: parameters))
  }

  static func expectGradients(_ student: Student, file: String) throws {
    let golden = try Golden.floats(file)
    try #require(golden.count == student.layout.count)
    for entry in student.layout.entries {
      let difference = relativeDifference(student.gradients[entry.range], golden[entry.range])
      #expect(difference < tolerance, "\(entry.name) differs by \(difference)")
    }
  }

  @Test("the canonical order of parameters is the golden's", arguments: ["tied", "untied"])
  func order(name: String) throws {
    let (golden, student) = try Self.student(name)
    #expect(student.layout.entries.map(\.name) == golden.names)
  }

  @Test("logits match PyTorch", arguments: ["tied", "untied"])
  func logits(name: String) throws {
    let (golden, student) = try Self.student(name)
    let difference = relativeDifference(try student.forward(golden.batch), try Golden.floats("\(name).logits.f32"))
    #expect(difference < Self.tolerance)
  }

  @Test("the loss and every gradient tensor match PyTorch", arguments: ["tied", "untied"])
  func gradients(name: String) throws {
    let (golden, student) = try Self.student(name)
    let report = try student.forwardBackward(golden.batch)
    #expect(abs(report.meanLoss - golden.loss) < Self.tolerance * golden.loss)
    #expect(try student.loss(golden.batch) == report)
    try Self.expectGradients(student, file: "\(name).gradients.f32")
  }

  @Test("half cross-entropy, half divergence from a teacher matches PyTorch", arguments: ["tied", "untied"])
  func teacher(name: String) throws {
    let (golden, student) = try Self.student(name)
    let teacher = try Golden.floats("\(name).teacher.f32")
    let report = try teacher.withUnsafeBufferPointer {
      try student.forwardBackward(golden.batch, teacherLogits: $0, klWeight: 0.5)
    }
    #expect(abs(report.meanLoss - golden.mixedLoss) < Self.tolerance * golden.mixedLoss)
    try Self.expectGradients(student, file: "\(name).kl.f32")
  }

  @Test("what is known of a teacher's likeliest tokens, and its tail, matches PyTorch", arguments: ["tied", "untied"])
  func top(name: String) throws {
    let (golden, student) = try Self.student(name)
    let teacher = try Golden.floats("\(name).teacher.f32")
    var batch = golden.batch
    batch.softShare = 0.4
    for (index, row) in batch.targetRows.enumerated() where index % 3 != 2 {
      let logits = teacher[index * golden.vocabularySize..<(index + 1) * golden.vocabularySize].map(Double.init)
      let partition = retort_log(logits.reduce(0) { $0 + retort_exp($1) })
      let known = logits.indices.sorted { logits[$0] > logits[$1] }.prefix(5)
      batch.softTargets.append(
        SoftTarget(row: row, tokens: known.map(Int32.init), logprobs: known.map { Float(logits[$0] - partition) }))
    }
    let report = try student.forwardBackward(batch)
    let expected = try Golden.floats("\(name).top.f32")
    try #require(expected.count == student.layout.count + 1)
    #expect(abs(report.meanLoss - Double(expected[student.layout.count])) < Self.tolerance)
    #expect(report.divergenceSum > 0)
    #expect(try student.loss(batch) == report)
    for entry in student.layout.entries {
      let difference = relativeDifference(student.gradients[entry.range], expected[entry.range])
      #expect(difference < Self.tolerance, "\(entry.name) differs by \(difference)")
    }
  }

  @Test("ten AdamW steps with clipping and decay give PyTorch's ten losses", arguments: ["tied", "untied"])
  func optimizer(name: String) throws {
    let (golden, student) = try Self.student(name)
    let layout = student.layout
    let ranges = layout.decayRanges.map {
      retort_range(start: $0.range.lowerBound, count: $0.range.count, decays: $0.decays ? 1 : 0)
    }
    var (m, v) = ([Float](repeating: 0, count: layout.count), [Float](repeating: 0, count: layout.count))
    var scratch = [Double](repeating: 0, count: retort_squared_norm_scratch(layout.count))
    for step in golden.losses.indices {
      let loss = try student.forwardBackward(golden.batch).meanLoss
      #expect(abs(loss - golden.losses[step]) < Self.tolerance * golden.losses[step], "step \(step): \(loss)")
      let norm = retort_squared_norm(layout.count, student.gradients.baseAddress, &scratch).squareRoot()
      #expect(abs(norm - golden.gradientNorms[step]) < 1e-3 * golden.gradientNorms[step])
      let settings = retort_adamw_settings(
        learning_rate: golden.learningRate, beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weight_decay: 0.05,
        gradient_scale: min(1, 1 / (norm + 1e-6)), step: Int64(step + 1))
      retort_adamw(
        ranges, ranges.count, student.parameters.baseAddress, student.gradients.baseAddress, &m, &v, settings)
    }
  }
}
