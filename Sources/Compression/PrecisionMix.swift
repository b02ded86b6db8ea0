package import ModelFiles
package import StudentModel

/// Chooses a format for each matrix, so that a file is at most so large and the student moves as little as possible.
///
/// All matrices begin as Q4_0. A matrix's sensitivity is how much nearer the student stays to itself with this matrix alone
/// in Q8_0 instead of Q4_0, all others unrounded: divergence in nats, or without samples the matrix's share of parameters
/// times its squared relative error. The matrices with the most sensitivity for a byte are raised while they fit, the first
/// of equals first; nothing is searched beyond that. The same inputs give the same mix.
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
  /// - Throws: ``CompressionError`` `mismatch` where all in Q4_0 is too large.
  package func formats(bytes limit: Int) throws -> [String: ElementType] {
    let tied = student.configuration.tiesEmbeddings
    var formats: [String: ElementType] = [:]
    for entry in student.layout.entries {
      formats[entry.name] = QuantizationPlan.bytes(limit).elementType(entry.name, entry.shape, tied: tied)
    }
    let smallest = size(formats)
    guard smallest <= limit else {
      throw CompressionError(
        .mismatch, context: "quantize, bytes", expected: "at least \(smallest) bytes, which all matrices in Q4_0 take",
        found: "\(limit)", advice: "allow more, or prune more")
    }
    var candidates: [(entry: ParameterLayout.Entry, gain: Double, bytes: Int)] = []
    for entry in student.layout.entries where formats[entry.name] == .q4_0 {
      let bytes =
        (ElementType.q8_0.byteCount(elements: entry.count) ?? 0)
        - (ElementType.q4_0.byteCount(elements: entry.count) ?? 0)
      let gain = try harm(of: entry, as: .q4_0) - harm(of: entry, as: .q8_0)
      candidates.append((entry, gain / Double(max(1, bytes)), bytes))
    }
    var left = limit - smallest
    for index in candidates.indices.sorted(by: { (candidates[$1].gain, $0) < (candidates[$0].gain, $1) })
    where candidates[index].bytes <= left {
      formats[candidates[index].entry.name] = .q8_0
      left -= candidates[index].bytes
    }
    return formats
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
