import CKernels
package import ModelFiles

/// Rounds a matrix block by block to Q8_0 or Q4_0, each weight's error made up for by the weights after it in its row.
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
  private let factor: [Float]
  private let width: Int

  /// - Parameter gram: XᵀX, `[width, width]`, row-major; nil is returned where it is zero or not finite.
  package init?(gram: [Float], width: Int) {
    var matrix = gram
    let mean = (0..<width).reduce(0.0) { $0 + Double(gram[$1 * width + $1]) } / Double(width)
    guard mean > 0, mean.isFinite else { return nil }
    for index in 0..<width { matrix[index * width + index] += Float(0.01 * mean) }
    guard Self.factorize(&matrix, width) else { return nil }
    factor = matrix
    self.width = width
  }

  /// The bytes of a matrix `[rows, width]` in that format, whose rows are whole blocks.
  package func round(
    _ weights: UnsafeBufferPointer<Float>, rows: Int, as type: ElementType
  ) -> [UInt8] {
    let grid = Grid(type)
    let blocks = width / 32
    var errors = [Float](repeating: 0, count: rows * width)
    var sums = [Float](repeating: 0, count: rows * 32)
    var bytes = [UInt8](repeating: 0, count: rows * blocks * grid.blockBytes)
    var scratch = [Float](repeating: 0, count: Int(retort_gemm_scratch(rows, 32, width)))
    for block in 0..<blocks {
      let first = block * 32
      factor.withUnsafeBufferPointer { factor in
        if first > 0, let start = factor.baseAddress {
          retort_gemm(RETORT_NN, rows, 32, first, errors, width, start + first, width, &sums, 32, nil, 0, &scratch)
        }
        for row in 0..<rows {
          roundBlock(row, first, weights, factor, grid, sums: &sums, errors: &errors) { scale, codes in
            grid.write(scale, codes, to: &bytes, at: (row * blocks + block) * grid.blockBytes)
          }
        }
      }
    }
    return bytes
  }

  private func roundBlock(
    _ row: Int, _ first: Int, _ weights: UnsafeBufferPointer<Float>, _ factor: UnsafeBufferPointer<Float>, _ grid: Grid,
    sums: inout [Float], errors: inout [Float], store: (UInt16, [Int8]) -> Void
  ) {
    var wanted = [Float](repeating: 0, count: 32)
    var importance = wanted
    for j in 0..<32 {
      let pivot = factor[(first + j) * width + first + j]
      wanted[j] = weights[row * width + first + j] + sums[row * 32 + j] / pivot
      importance[j] = pivot * pivot
    }
    let half = grid.scale(for: wanted, importance)
    let scale = Quantization.float(half: half)
    var codes = [Int8](repeating: 0, count: 32)
    for j in 0..<32 {
      let column = first + j
      let pivot = factor[column * width + column]
      let weight = weights[row * width + column]
      codes[j] = grid.code(weight + sums[row * 32 + j] / pivot, scale)
      let error = weight - Float(codes[j]) * scale
      errors[row * width + column] = error
      for k in j + 1..<max(32, j + 1) { sums[row * 32 + k] += error * factor[column * width + first + k] }
    }
    store(half, codes)
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

  /// The values that one block can hold: a half-precision scale times small whole numbers.
  private struct Grid {
    let type: ElementType
    let lowest: Float
    let highest: Float
    let blockBytes: Int

    init(_ type: ElementType) {
      self.type = type
      (lowest, highest) = type == .q4_0 ? (-8, 7) : (-127, 127)
      blockBytes = type.blockBytes
    }

    func code(_ value: Float, _ scale: Float) -> Int8 {
      guard scale != 0 else { return 0 }
      return Int8(min(highest, max(lowest, (value / scale).rounded(.toNearestOrEven))))
    }

    /// The best scale, as its half-precision bits: for Q4_0 of nine of each sign, so that either side gets the longer end.
    func scale(for values: [Float], _ importance: [Float]) -> UInt16 {
      let largest = values.reduce(0) { max($0, abs($1)) }
      guard largest > 0, largest.isFinite else { return 0 }
      guard type == .q4_0 else { return Quantization.half(largest / 127) }
      var best: (error: Float, half: UInt16) = (.infinity, 0)
      for step in 0..<9 {
        for sign: Float in [1, -1] {
          let half = Quantization.half(sign * largest / 8 * (1.12 - 0.04 * Float(step)))
          let scale = Quantization.float(half: half)
          var error: Float = 0
          for index in values.indices {
            let difference = values[index] - Float(code(values[index], scale)) * scale
            error += importance[index] * difference * difference
          }
          if error < best.error { best = (error, half) }
        }
      }
      return best.half
    }

    func write(_ scale: UInt16, _ codes: [Int8], to bytes: inout [UInt8], at offset: Int) {
      bytes[offset] = UInt8(truncatingIfNeeded: scale)
      bytes[offset + 1] = UInt8(truncatingIfNeeded: scale >> 8)
      if type == .q4_0 {
        for index in 0..<16 {
          bytes[offset + 2 + index] = UInt8(codes[index] + 8) | UInt8(codes[index + 16] + 8) << 4
        }
      } else {
        for index in 0..<32 { bytes[offset + 2 + index] = UInt8(bitPattern: codes[index]) }
      }
    }
  }
}
