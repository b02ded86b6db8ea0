// Q6_K (ggml, little-endian), 210 bytes for 256 elements: 128 bytes with the low four bits of q, 64 bytes with the high two, 16 signed
// scales of sub-blocks of 16, d (IEEE half); x = d · scale · (q − 32). Elements come 128 at a time: of the 64 low bytes, byte j holds element
// j in its low and j + 64 in its high four bits; of the 32 high bytes, byte j holds elements j, j + 32, j + 64 and j + 96, lowest first.

// swift-format-ignore: AlwaysUseLowerCamelCase
extension Quantization {
  /// The elements of one K-quant block.
  public static let superBlockSize = 256

  /// `values` as Q6_K blocks. The format is ggml's; the scales are our own choice: for each sub-block the one of nineteen
  /// candidates whose rounded values, scaled best, come nearest in the mean square of weights times values.
  ///
  /// - Throws: ``ModelFileError`` `invalid_argument` for numbers that are not a multiple of 256, not finite, or too large.
  public static func q6_k(_ values: [Float]) throws(ModelFileError) -> [UInt8] {
    guard values.count % superBlockSize == 0 else {
      throw ModelFileError(
        .invalidArgument, context: "encoding Q6_K", expected: "whole blocks of 256 elements",
        found: "\(values.count) elements", advice: "keep rows a multiple of 256 long")
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(values.count / superBlockSize * 210)
    for block in 0..<(values.count / superBlockSize) {
      bytes += try q6_kBlock(values[(block * superBlockSize)..<((block + 1) * superBlockSize)], number: block)
    }
    return bytes
  }

  private static func q6_kBlock(_ values: ArraySlice<Float>, number: Int) throws(ModelFileError) -> [UInt8] {
    let parts = (0..<16).map { part in
      Array(values[(values.startIndex + part * 16)..<(values.startIndex + part * 16 + 16)])
    }
    let scales = parts.map { bestScale($0) }
    // The largest scale in magnitude becomes −128, the only 8-bit number without its opposite.
    let extreme = scales.max { abs($0) < abs($1) } ?? 0
    let d = extreme / -128
    try check(scale: d, finite: values.allSatisfy(\.isFinite) && d.isFinite, block: number)
    var bits = half(d)
    // A scale that rounding has made much smaller (small weights: halves are coarse there) could not reach the largest.
    if abs(float(half: bits)) * 128 < abs(extreme) * 0.998 { bits += 1 }
    let stored = float(half: bits)
    var quants = [UInt8](repeating: 32, count: superBlockSize)
    var codes = [Int8](repeating: 0, count: 16)
    if abs(stored) >= Float.leastNormalMagnitude {
      for (part, scale) in scales.enumerated() {
        codes[part] = Int8(clamping: Int((scale / stored).rounded()))
        let step = stored * Float(codes[part])
        guard step != 0 else { continue }
        for (index, value) in parts[part].enumerated() {
          quants[part * 16 + index] = UInt8(32 + min(31, max(-32, Int((value / step).rounded()))))
        }
      }
    }
    let scaleBytes = [UInt8(truncatingIfNeeded: bits), UInt8(bits >> 8)]
    return packed(quants) + codes.map { UInt8(bitPattern: $0) } + scaleBytes
  }

  private static func packed(_ quants: [UInt8]) -> [UInt8] {
    var low: [UInt8] = []
    var high: [UInt8] = []
    for base in [0, 128] {
      low += (0..<64).map { quants[base + $0] & 15 | (quants[base + $0 + 64] & 15) << 4 }
      high += (0..<32).map { index in
        (0..<4).reduce(UInt8(0)) { $0 | (quants[base + index + 32 * $1] >> 4) << UInt8(2 * $1) }
      }
    }
    return low + high
  }

  /// The step whose multiples in −32…31 are nearest to `values`.
  private static func bestScale(_ values: [Float]) -> Float {
    let extreme = values.max { abs($0) < abs($1) } ?? 0
    guard extreme.isFinite, abs(extreme) >= 1e-30 else { return 0 }
    var best: (scale: Float, gain: Float) = (0, -1)
    for candidate in -9...9 {
      let inverse = (-32 + 0.1 * Float(candidate)) / extreme
      var (products, squares): (Float, Float) = (0, 0)
      for value in values {
        let code = min(31, max(-32, (value * inverse).rounded()))
        // Large weights count more: what they are off by is felt more.
        products += value * value * value * code
        squares += value * value * code * code
      }
      // The best step for these codes is products / squares, and reduces the error by this much.
      if squares > 0, products * products / squares > best.gain {
        best = (products / squares, products * products / squares)
      }
    }
    return best.scale
  }
}
