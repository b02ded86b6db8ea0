import CKernels
import ModelFiles
package import StudentModel

/// XᵀX of what each linear layer of a student reads on samples, measured some blocks at a time so that memory is bounded.
package final class GramMatrices {
  private let student: Student
  private let batches: [PackedBatch]
  private let maximumFloats: Int
  private var held: [LinearInput: [Float]] = [:]

  /// - Parameters:
  ///   - maximumFloats: about how many numbers are held at once; default 2^27, half a gigabyte.
  ///   - rows: about how many tokens' activations are; the parts change no bit.
  package init(of student: Student, on batches: [PackedBatch], maximumFloats: Int = 1 << 27, rows: Int = 2_048) {
    self.student = student
    self.batches = batches.parts(rows: rows)
    self.maximumFloats = maximumFloats
  }

  /// XᵀX of an input, `[width, width]`, over all rows of the batches; nil without batches.
  ///
  /// Asked block by block in ascending order, each block is measured once.
  package func callAsFunction(_ input: LinearInput) throws -> [Float]? {
    guard !batches.isEmpty else { return nil }
    if held[input] == nil { try measure(from: input.layer) }
    return held[input]
  }

  private func measure(from layer: Int) throws {
    held = [:]
    let sizes = student.configuration
    let heads = sizes.headCount * sizes.headSize
    let block =
      2 * sizes.hiddenSize * sizes.hiddenSize + heads * heads + sizes.feedForwardSize * sizes.feedForwardSize
    let blocks = layer..<layer + max(1, maximumFloats / block)
    for batch in batches {
      try student.observeInputs(batch) { input, values, width in
        guard blocks.contains(input.layer), let start = values.baseAddress else { return }
        var gram = held.removeValue(forKey: input) ?? [Float](repeating: 0, count: width * width)
        var scratch = [Float](
          repeating: 0, count: Int(retort_gemm_scratch(width, width, batch.rowCount)))
        retort_gemm(
          RETORT_TN, width, width, batch.rowCount, start, width, start, width, &gram, width, nil, 1, &scratch)
        held[input] = gram
      }
    }
  }

  /// The squares of what each channel reads, summed.
  static func diagonal(_ gram: [Float]) -> [Float] {
    let width = Int(Double(gram.count).squareRoot())
    return (0..<width).map { gram[$0 * width + $0] }
  }

  /// tr(Δ·G·Δᵀ), what errors Δ `[rows, width]` of weights add to the squares of a layer's outputs.
  package static func error(_ errors: [Float], rows: Int, width: Int, gram: [Float]) -> Double {
    var product = [Float](repeating: 0, count: rows * width)
    var scratch = [Float](repeating: 0, count: Int(retort_gemm_scratch(rows, width, width)))
    retort_gemm(RETORT_NN, rows, width, width, errors, width, gram, width, &product, width, nil, 0, &scratch)
    var sum = 0.0
    for row in 0..<rows {
      var part = 0.0
      for column in row * width..<(row + 1) * width { part += Double(product[column]) * Double(errors[column]) }
      sum += part
    }
    return max(0, sum)
  }
}
