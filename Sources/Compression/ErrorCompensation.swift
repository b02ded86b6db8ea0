import CKernels
package import ModelFiles

/// Rounds a matrix block by block to Q8_0, Q4_0 or Q4_K, each weight's error made up for by the weights after it in its row.
///
/// With the inputs' XᵀX damped by a hundredth of its mean diagonal and factored as R·Rᵀ, R upper triangular, the output
/// error of a row with weight errors e is ‖e·R‖². Column by column, weight j is rounded from
/// w_j + (Σ_{i<j} e_i·R_ij) / R_jj, which makes component j of e·R as small as the grid allows. A block's scale is the best
/// of a few, by Σ_j R_jj²·error², for what its weights are rounded from when the block is reached.
///
/// Reference: Frantar et al. 2022, "GPTQ", arXiv 2210.17323, algorithm 1. Deviations: the same steps written with the
/// factor of H in place of that of its inverse, which need not be computed; columns in their order; inputs are those of the
/// unrounded model.
package struct ErrorCompensation {
  /// What it rounds to.
  static let formats: Set<ElementType> = [.q8_0, .q4_0, .q4_k]

  private let factor: [Float]
  private let width: Int
  /// The mean of the inputs' squares.
  private let mean: Float

  /// - Parameter gram: XᵀX, `[width, width]`, row-major; nil is returned where it is zero or not finite.
  package init?(gram: [Float], width: Int) {
    var matrix = gram
    let mean = (0..<width).reduce(0.0) { $0 + Double(gram[$1 * width + $1]) } / Double(width)
    guard mean > 0, mean.isFinite else { return nil }
    for index in 0..<width { matrix[index * width + index] += Float(0.01 * mean) }
    guard Self.factorize(&matrix, width) else { return nil }
    factor = matrix
    self.width = width
    self.mean = Float(mean)
  }

  /// The bytes of a matrix `[rows, width]` in one of ``formats``, whose rows are whole blocks.
  package func round(
    _ weights: UnsafeBufferPointer<Float>, rows: Int, as type: ElementType
  ) -> [UInt8] {
    let (blocks, size) = (width / type.blockSize, type.blockSize)
    var errors = [Float](repeating: 0, count: rows * width)
    var sums = [Float](repeating: 0, count: rows * size)
    var bytes = [UInt8](repeating: 0, count: rows * blocks * type.blockBytes)
    var scratch = [Float](repeating: 0, count: Int(retort_gemm_scratch(rows, size, width)))
    for block in 0..<blocks {
      let first = block * size
      factor.withUnsafeBufferPointer { factor in
        if first > 0, let start = factor.baseAddress {
          retort_gemm(
            RETORT_NN, rows, size, first, errors, width, start + first, width, &sums, size, nil, 0, &scratch)
        }
        for row in 0..<rows {
          let range = row * width + first..<row * width + first + size
          let rounded = roundBlock(
            weights[range], first, factor, type, sums: &sums[row * size..<(row + 1) * size], errors: &errors[range])
          bytes.withUnsafeMutableBytes { bytes in
            rounded.write(
              to: UnsafeMutableRawBufferPointer(rebasing: bytes[((row * blocks + block) * type.blockBytes)...]))
          }
        }
      }
    }
    return bytes
  }

  /// Rounds one block of a row, 32 weights (which share their step) at a time.
  private func roundBlock(
    _ weights: Slice<UnsafeBufferPointer<Float>>, _ first: Int, _ factor: UnsafeBufferPointer<Float>,
    _ type: ElementType, sums: inout ArraySlice<Float>, errors: inout ArraySlice<Float>
  ) -> BlockGrid {
    let size = weights.count
    var importance = [Float](repeating: 0, count: size)
    for j in 0..<size {
      let pivot = factor[(first + j) * width + first + j]
      importance[j] = pivot * pivot / mean
    }
    /// What the weights of a range are rounded from, as far as errors are known.
    func wanted(_ range: Range<Int>, _ sums: ArraySlice<Float>) -> [Float] {
      range.map { j in
        weights[weights.startIndex + j] + sums[sums.startIndex + j] / factor[(first + j) * width + first + j]
      }
    }
    var grid = BlockGrid(type, fitting: wanted(0..<size, sums), importance)
    for part in 0..<size / 32 {
      let range = part * 32..<part * 32 + 32
      if part > 0 { grid.refit(part, to: wanted(range, sums), Array(importance[range])) }
      for j in range {
        let (column, weight) = (first + j, weights[weights.startIndex + j])
        let sum = sums[sums.startIndex + j] / factor[column * width + column]
        let error = weight - grid.round(weight + sum, at: j)
        errors[errors.startIndex + j] = error
        for k in j + 1..<max(size, j + 1) {
          sums[sums.startIndex + k] += error * factor[column * width + first + k]
        }
      }
    }
    return grid
  }

  /// Turns a symmetric positive matrix `[n, n]` into R, upper triangular, with R·Rᵀ the matrix; what is below stays as it was.
  ///
  /// Panels of 64 columns from the last; what is left of a panel is updated by one product.
  private static func factorize(_ matrix: inout [Float], _ n: Int) -> Bool {
    var end = n
    while end > 0 {
      let start = max(0, end - 64)
      guard factorizePanel(&matrix, n, start..<end) else { return false }
      if start > 0 { updateRest(&matrix, n, start..<end) }
      end = start
    }
    return true
  }

  private static func factorizePanel(_ matrix: inout [Float], _ n: Int, _ panel: Range<Int>) -> Bool {
    matrix.withUnsafeMutableBufferPointer { a in
      var column = [Float](repeating: 0, count: n)
      for j in panel.reversed() {
        let pivot = a[j * n + j].squareRoot()
        guard pivot > 0, pivot.isFinite else { return false }
        a[j * n + j] = pivot
        for i in 0..<j {
          a[i * n + j] /= pivot
          column[i] = a[i * n + j]
        }
        for i in 0..<j {
          let factor = column[i]
          for k in panel.lowerBound..<j { a[i * n + k] -= factor * column[k] }
        }
      }
      return true
    }
  }

  private static func updateRest(_ matrix: inout [Float], _ n: Int, _ panel: Range<Int>) {
    let (rows, width) = (panel.lowerBound, panel.count)
    var part = [Float](repeating: 0, count: rows * width)
    var negative = part
    for i in 0..<rows {
      for k in 0..<width {
        part[i * width + k] = matrix[i * n + panel.lowerBound + k]
        negative[i * width + k] = -part[i * width + k]
      }
    }
    var scratch = [Float](repeating: 0, count: Int(retort_gemm_scratch(rows, rows, width)))
    retort_gemm(RETORT_NT, rows, rows, width, negative, width, part, width, &matrix, n, nil, 1, &scratch)
  }
}
