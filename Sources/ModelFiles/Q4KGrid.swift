import CKernels

/// The numbers that one Q4_K block can hold: eight parts of 32 elements, in each x = step · q − offset with q in 0…15, where
/// step = d · scale and offset = dmin · minimum, whole scale and minimum in 0…63, and halves d and dmin for the whole block.
///
/// The search is our own. For each part the step and offset with the least weighted squared error are sought
/// (``retort_grid_fit``); d and dmin are such that the largest of them fit. Then, in turn and as long as the error falls: for
/// each part the best scale and minimum among the neighbours of the wanted ones, and d and dmin by least squares for all q.
package struct Q4KGrid {
  /// The numbers of one part.
  package struct Part {
    /// The distance of two neighbours; not negative.
    package var step: Float = 0
    /// What is subtracted; not negative.
    package var offset: Float = 0
  }

  /// d and dmin, as halves.
  private var units: (step: UInt16, offset: UInt16) = (0, 0)
  private var scales = SIMD8<Float>.zero
  private var minima = SIMD8<Float>.zero

  /// The best grid that the search finds for a block.
  ///
  /// - Parameters:
  ///   - values: 256 finite numbers, at most 65,504 in magnitude.
  ///   - weights: what the squared error of each counts, 10⁻⁶…10⁶.
  package init(fitting values: UnsafePointer<Float>, weights: UnsafePointer<Float>) {
    let wanted = (0..<8).map { Self.bestPart(values + $0 * 32, weights + $0 * 32) }
    units = (
      Self.unit(wanted.reduce(0) { max($0, $1.step) }), Self.unit(wanted.reduce(0) { max($0, $1.offset) })
    )
    var error = choose(wanted, values, weights)
    for _ in 0..<3 {
      var next = self
      next.refitUnits(values, weights)
      let nextError = next.choose((0..<8).map { next[$0] }, values, weights)
      guard nextError < error else { return }
      (self, error) = (next, nextError)
    }
  }

  /// One part's numbers.
  package subscript(part: Int) -> Part {
    Part(
      step: Quantization.float(half: units.step) * scales[part],
      offset: Quantization.float(half: units.offset) * minima[part])
  }

  /// Chooses a part's scale and minimum again, for 32 other values; d and dmin stay.
  package mutating func refit(_ part: Int, to values: UnsafePointer<Float>, weights: UnsafePointer<Float>) {
    _ = choose(part, Self.bestPart(values, weights), values, weights)
  }

  /// The q of the nearest numbers to a block's 256 elements.
  func codes(_ values: UnsafePointer<Float>) -> [UInt8] {
    var codes = [UInt8](repeating: 0, count: Quantization.superBlockSize)
    codes.withUnsafeMutableBufferPointer { codes in
      guard let start = codes.baseAddress else { return }
      for part in 0..<8 {
        retort_grid_codes(values + part * 32, self[part].step, self[part].offset, start + part * 32)
      }
    }
    return codes
  }

  /// Writes the block, 144 bytes, with the q of its 256 elements.
  package func write(_ codes: [UInt8], to target: UnsafeMutableRawBufferPointer) {
    target.storeBytes(of: units.step.littleEndian, toByteOffset: 0, as: UInt16.self)
    target.storeBytes(of: units.offset.littleEndian, toByteOffset: 2, as: UInt16.self)
    // Parts 0…3 in the low six bits of eight bytes; the others' low four bits in the next four, their high two above the first.
    for part in 0..<4 {
      let (scale, minimum) = (UInt8(scales[part + 4]), UInt8(minima[part + 4]))
      target[4 + part] = UInt8(scales[part]) | (scale >> 4) << 6
      target[8 + part] = UInt8(minima[part]) | (minimum >> 4) << 6
      target[12 + part] = scale & 15 | (minimum & 15) << 4
    }
    for pair in 0..<4 {
      for index in 0..<32 {
        target[16 + pair * 32 + index] = codes[pair * 64 + index] | codes[pair * 64 + 32 + index] << 4
      }
    }
  }

  // MARK: - The search

  /// A half of which `largest` is about 63.
  private static func unit(_ largest: Float) -> UInt16 {
    let half = Quantization.half(largest / 63)
    // Small halves are coarse: one that was rounded down much could not reach the largest.
    return Quantization.float(half: half) * 63 < largest * 0.998 ? half + 1 : half
  }

  private static func bestPart(_ values: UnsafePointer<Float>, _ weights: UnsafePointer<Float>) -> Part {
    var part = Part()
    retort_grid_fit(values, weights, &part.step, &part.offset)
    return part
  }

  /// Chooses all scales and minima, near those wanted, and returns the error.
  private mutating func choose(
    _ wanted: [Part], _ values: UnsafePointer<Float>, _ weights: UnsafePointer<Float>
  ) -> Float {
    wanted.indices.reduce(0) { $0 + choose($1, wanted[$1], values + $1 * 32, weights + $1 * 32) }
  }

  private mutating func choose(
    _ part: Int, _ wanted: Part, _ values: UnsafePointer<Float>, _ weights: UnsafePointer<Float>
  ) -> Float {
    let scale = Self.nearest(wanted.step, Quantization.float(half: units.step))
    let minimum = Self.nearest(wanted.offset, Quantization.float(half: units.offset))
    var best: (error: Float, scale: Float, minimum: Float) = (.infinity, 0, 0)
    for nextScale in max(0, scale - 1)...min(63, scale + 1) {
      for nextMinimum in max(0, minimum - 1)...min(63, minimum + 1) {
        (scales[part], minima[part]) = (Float(nextScale), Float(nextMinimum))
        let error = retort_grid_error(values, weights, self[part].step, self[part].offset)
        if error < best.error { best = (error, scales[part], minima[part]) }
      }
    }
    (scales[part], minima[part]) = (best.scale, best.minimum)
    return best.error
  }

  private static func nearest(_ value: Float, _ unit: Float) -> Int {
    unit > 0 ? Int(min(63, (value / unit).rounded(.toNearestOrEven))) : 0
  }

  /// d and dmin with the least Σ w·(x − d·scale·q + dmin·minimum)², for q, scales and minima as they are.
  private mutating func refitUnits(_ values: UnsafePointer<Float>, _ weights: UnsafePointer<Float>) {
    var (aa, ab, bb, ax, bx): (Float, Float, Float, Float, Float) = (0, 0, 0, 0, 0)
    for part in 0..<8 {
      let sums = retort_grid_sum(values + part * 32, weights + part * 32, self[part].step, self[part].offset)
      let (a, b) = (scales[part], minima[part])
      aa += a * a * sums.wqq
      ab += a * b * sums.wq
      bb += b * b * sums.w
      ax += a * sums.wqx
      bx += b * sums.wx
    }
    let determinant = aa * bb - ab * ab
    if determinant > 0 {
      let (step, offset) = ((bb * ax - ab * bx) / determinant, (ab * ax - aa * bx) / determinant)
      if step > 0, offset >= 0 { units = (Quantization.half(step), Quantization.half(offset)) }
    } else if bb == 0, aa > 0, ax > 0 {
      units.step = Quantization.half(ax / aa)
    }
  }
}
