package import ModelFiles
package import StudentModel

/// Chooses a format for each matrix, so that a file is at most so large and the student moves as little as possible.
///
/// All matrices begin in four bits: Q4_K, or Q4_0 where rows are no whole blocks of 256. A matrix's harm in a format is how far the
/// student moves with this matrix alone stored so, all others unrounded: divergence in nats, or without samples the matrix's
/// share of parameters times its squared relative error. Again and again the matrix is raised, to Q6_K (where rows are whole
/// blocks) or Q8_0, that saves the most harm for a byte and still fits, the first of equals first; nothing is searched beyond
/// that. The same inputs give the same mix.
package struct PrecisionMix {
  private let student: Student
  private let divergence: Divergence?
  private let metadataBytes: Int

  /// - Parameters:
  ///   - student: Its weights are rounded one tensor at a time and put back.
  ///   - divergence: From the student, unrounded; nil without samples.
  ///   - metadataBytes: the bytes of the file that are no tensor.
  package init(student: Student, divergence: Divergence?, metadataBytes: Int) {
    self.student = student
    self.divergence = divergence
    self.metadataBytes = metadataBytes
  }

  /// The format of every tensor, by name.
  ///
  /// - Throws: ``CompressionError`` `mismatch` where all in four bits is too large.
  package func formats(bytes limit: Int) throws -> [String: ElementType] {
    let tied = student.configuration.tiesEmbeddings
    var formats: [String: ElementType] = [:]
    for entry in student.layout.entries {
      formats[entry.name] = QuantizationPlan.bytes(limit).elementType(entry.name, entry.shape, tied: tied)
    }
    let smallest = size(formats)
    guard smallest <= limit else {
      throw CompressionError(
        .mismatch, context: "quantize, bytes",
        expected: "at least \(smallest) bytes, which all matrices in four bits take",
        found: "\(limit)", advice: "allow more, or prune more")
    }
    var left = limit - smallest
    var ladders = try student.layout.entries.compactMap { try ladder(of: $0, from: formats[$0.name] ?? .f32) }
    while let (ladder, rung) = Self.best(ladders, within: left) {
      left -= ladders[ladder].rungs[rung].bytes - ladders[ladder].rungs[0].bytes
      ladders[ladder].rungs.removeFirst(rung)
      formats[ladders[ladder].name] = ladders[ladder].rungs[0].type
    }
    return formats
  }

  /// A matrix's formats from the one that it has, each with its bytes and its harm.
  private struct Ladder {
    let name: String
    var rungs: [(type: ElementType, bytes: Int, harm: Double)]
  }

  /// nil for what is not stored in four bits at first.
  private func ladder(of entry: ParameterLayout.Entry, from type: ElementType) throws -> Ladder? {
    let types: [ElementType]
    switch type {
    case .q4_k: types = [.q4_k, .q6_k, .q8_0]
    case .q4_0: types = [.q4_0, .q8_0]
    default: return nil
    }
    return Ladder(
      name: entry.name,
      rungs: try types.map { ($0, $0.byteCount(elements: entry.count) ?? 0, try harm(of: entry, as: $0)) })
  }

  /// The step up that saves the most for a byte; nil where none that saves any fits.
  private static func best(_ ladders: [Ladder], within bytes: Int) -> (ladder: Int, rung: Int)? {
    var best: (gain: Double, ladder: Int, rung: Int)?
    for (index, ladder) in ladders.enumerated() {
      for rung in ladder.rungs.indices.dropFirst() {
        let more = ladder.rungs[rung].bytes - ladder.rungs[0].bytes
        let gain = (ladder.rungs[0].harm - ladder.rungs[rung].harm) / Double(max(1, more))
        if more <= bytes, gain > best?.gain ?? 0 { best = (gain, index, rung) }
      }
    }
    return best.map { ($0.ladder, $0.rung) }
  }

  private func size(_ formats: [String: ElementType]) -> Int {
    let cost = ModelCost(elementType: { name, _ in formats[name] ?? .f32 }, metadataBytes: metadataBytes)
    return cost(student.configuration, in: .bytes)
  }

  /// What rounding one tensor alone does.
  private func harm(of entry: ParameterLayout.Entry, as type: ElementType) throws -> Double {
    let values = student.parameters(entry)
    let original = Array(values)
    try Quantizer.round(values, to: type)
    defer { _ = values.update(from: original) }
    if let divergence { return try divergence(student) }
    var (errors, squares) = (0.0, 0.0)
    for (a, b) in zip(original, values) {
      errors += (Double(a) - Double(b)) * (Double(a) - Double(b))
      squares += Double(a) * Double(a)
    }
    return squares > 0 ? errors / squares * Double(entry.count) / Double(student.layout.count) : 0
  }
}
