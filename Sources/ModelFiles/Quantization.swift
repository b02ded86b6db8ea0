import CKernels

// Block layouts (ggml, little-endian):
//   Q8_0, 34 bytes for 32 elements: d (IEEE half), then 32 × int8 q;                x = d · q
//   Q4_0, 18 bytes for 32 elements: d (IEEE half), then 16 bytes, byte j holding element j in its low and element j + 16
//         in its high four bits;                                                    x = d · (q − 8)

// swift-format-ignore: AlwaysUseLowerCamelCase
/// Number formats of model files: IEEE half, bfloat16, and ggml's Q8_0 and Q4_0 blocks.
///
/// All results are the bits of ggml's reference functions (`quantize_row_q8_0_ref`, `quantize_row_q4_0_ref`); the same on
/// every processor. Deviations, both without effect on decoded values: NaN becomes one quiet NaN in halves; a block whose
/// scale is subnormal in single precision (weights below 1.5e-36) becomes zeros, whether or not the processor flushes
/// denormals.
public enum Quantization {
  /// The elements of one Q8_0 or Q4_0 block.
  public static let blockSize = 32

  /// Rounds to IEEE half precision, to nearest, ties to even; overflow gives infinity.
  public static func half(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    let sign = UInt16(truncatingIfNeeded: bits >> 16) & 0x8000
    let magnitude = bits & 0x7FFF_FFFF
    if magnitude >= 0x7F80_0000 { return sign | (magnitude > 0x7F80_0000 ? 0x7E00 : 0x7C00) }
    if magnitude >= 0x4780_0000 { return sign | 0x7C00 }  // 2^16 and above
    if magnitude < 0x3880_0000 { return sign | subnormalHalf(magnitude) }  // below 2^-14
    // Rebias the exponent from 127 to 15, add just below half a unit, plus one where the kept part is odd.
    let odd = (magnitude >> 13) & 1
    return sign | UInt16(truncatingIfNeeded: (magnitude &- 0x3800_0000 &+ 0x0FFF &+ odd) >> 13)
  }

  private static func subnormalHalf(_ magnitude: UInt32) -> UInt16 {
    let exponent = Int(magnitude >> 23)
    guard exponent >= 102 else { return 0 }  // below 2^-25: less than half the smallest half
    let mantissa = (magnitude & 0x007F_FFFF) | 0x0080_0000
    let shift = UInt32(126 - exponent)  // 14…24
    let kept = mantissa >> shift
    let rest = mantissa & ((1 << shift) - 1)
    let middle: UInt32 = 1 << (shift - 1)
    return UInt16(kept + (rest > middle || (rest == middle && kept & 1 == 1) ? 1 : 0))
  }

  /// The value of an IEEE half; exact.
  public static func float(half bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits >> 10) & 0x1F
    let mantissa = UInt32(bits & 0x3FF)
    switch exponent {
    case 0:
      // mantissa · 2^-24, exact in single precision and never subnormal there.
      let magnitude = Float(mantissa) * 0x1p-24
      return Float(bitPattern: magnitude.bitPattern | sign)
    case 31: return Float(bitPattern: sign | 0x7F80_0000 | mantissa << 13)
    default: return Float(bitPattern: sign | (exponent + 112) << 23 | mantissa << 13)
    }
  }

  /// Rounds to bfloat16, to nearest, ties to even; NaN stays a quiet NaN.
  public static func bfloat(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    if bits & 0x7FFF_FFFF > 0x7F80_0000 { return UInt16(bits >> 16) | 64 }
    return UInt16((bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16)
  }

  /// The value of a bfloat16; exact.
  public static func float(bfloat bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

  /// Encodes `values`, whole blocks of 32, as Q8_0.
  ///
  /// - Parameters:
  ///   - values: a multiple of 32 finite numbers.
  ///   - target: exactly `values.count / 32 * 34` bytes.
  /// - Throws: ``ModelFileError`` `invalid_argument` for other counts, for numbers that are not finite, and for numbers so
  ///   large that the scale overflows half precision.
  public static func encodeQ8_0(
    _ values: UnsafeBufferPointer<Float>, into target: UnsafeMutableRawBufferPointer
  ) throws(ModelFileError) {
    try check(values.count, target.count, .q8_0)
    for block in 0..<(values.count / blockSize) {
      let source = UnsafeBufferPointer(rebasing: values[(block * blockSize)..<((block + 1) * blockSize)])
      var largest: Float = 0
      var finite = true
      for value in source {
        finite = finite && value.isFinite
        largest = max(largest, abs(value))
      }
      let scale = largest / 127
      try check(scale: scale, finite: finite, block: block)
      let inverse: Float = scale >= Float.leastNormalMagnitude ? 1 / scale : 0
      let base = block * 34
      target.storeBytes(of: half(scale).littleEndian, toByteOffset: base, as: UInt16.self)
      for index in 0..<blockSize { target[base + 2 + index] = UInt8(bitPattern: rounded(source[index] * inverse)) }
    }
  }

  /// Encodes `values`, whole blocks of 32, as Q4_0.
  ///
  /// - Parameters:
  ///   - values: a multiple of 32 finite numbers.
  ///   - target: exactly `values.count / 32 * 18` bytes.
  /// - Throws: ``ModelFileError`` `invalid_argument` as ``encodeQ8_0(_:into:)``.
  public static func encodeQ4_0(
    _ values: UnsafeBufferPointer<Float>, into target: UnsafeMutableRawBufferPointer
  ) throws(ModelFileError) {
    try check(values.count, target.count, .q4_0)
    for block in 0..<(values.count / blockSize) {
      let source = UnsafeBufferPointer(rebasing: values[(block * blockSize)..<((block + 1) * blockSize)])
      var extreme: Float = 0  // the value of largest magnitude, with its sign
      var finite = true
      for value in source {
        finite = finite && value.isFinite
        if abs(value) > abs(extreme) { extreme = value }
      }
      let scale = extreme / -8
      try check(scale: scale, finite: finite, block: block)
      let inverse: Float = abs(scale) >= Float.leastNormalMagnitude ? 1 / scale : 0
      let base = block * 18
      target.storeBytes(of: half(scale).littleEndian, toByteOffset: base, as: UInt16.self)
      for index in 0..<16 {
        let low = UInt8(min(15, Int32(source[index] * inverse + 8.5)))
        let high = UInt8(min(15, Int32(source[index + 16] * inverse + 8.5)))
        target[base + 2 + index] = low | high << 4
      }
    }
  }

  /// `values` as Q8_0 blocks; the same as ``encodeQ8_0(_:into:)`` into new memory.
  public static func q8_0(_ values: [Float]) throws(ModelFileError) -> [UInt8] {
    try encoded(values, bytes: values.count / blockSize * 34, with: encodeQ8_0)
  }

  /// `values` as Q4_0 blocks; the same as ``encodeQ4_0(_:into:)`` into new memory.
  public static func q4_0(_ values: [Float]) throws(ModelFileError) -> [UInt8] {
    try encoded(values, bytes: values.count / blockSize * 18, with: encodeQ4_0)
  }

  /// The numbers that `bytes` of a weight type stand for, as the kernels read them; whole blocks.
  ///
  /// - Throws: ``ModelFileError`` `unsupported` for other types than F32, F16, BF16, Q8_0, Q4_0, Q4_K and Q6_K; `invalid_argument`
  ///   where the target's size is not that of the bytes.
  public static func decode(
    _ bytes: UnsafeRawBufferPointer, as type: ElementType, into target: UnsafeMutableBufferPointer<Float>
  ) throws(ModelFileError) {
    guard let weights = type.weightType else {
      throw ModelFileError(
        .unsupported, context: "decoding", expected: "F32, F16, BF16, Q8_0, Q4_0, Q4_K or Q6_K",
        found: type.rawValue.uppercased(), advice: "convert the file to one of these types")
    }
    guard type.byteCount(elements: target.count) == bytes.count else {
      throw ModelFileError(
        .invalidArgument, context: "decoding \(type.rawValue.uppercased())",
        expected: "whole blocks for \(target.count) elements",
        found: "\(bytes.count) bytes", advice: "allocate the buffer from the tensor's shape")
    }
    guard let source = bytes.assumingMemoryBound(to: UInt8.self).baseAddress, let start = target.baseAddress else {
      return
    }
    retort_weight_rows(weights, target.count, source, [0], 1, start)
  }

  /// C's `roundf`, ties away from zero, for magnitudes up to 127.5.
  private static func rounded(_ value: Float) -> Int8 {
    let whole = Int32(value)
    let rest = value - Float(whole)
    return Int8(truncatingIfNeeded: whole + (rest >= 0.5 ? 1 : 0) - (rest <= -0.5 ? 1 : 0))
  }

  private static func encoded(
    _ values: [Float], bytes: Int,
    with encode: (UnsafeBufferPointer<Float>, UnsafeMutableRawBufferPointer) throws(ModelFileError) -> Void
  ) throws(ModelFileError) -> [UInt8] {
    var result = [UInt8](repeating: 0, count: bytes)
    var failure: ModelFileError?
    result.withUnsafeMutableBytes { target in
      values.withUnsafeBufferPointer { source in
        do throws(ModelFileError) { try encode(source, target) } catch { failure = error }
      }
    }
    if let failure { throw failure }
    return result
  }

  private static func check(_ elements: Int, _ bytes: Int, _ type: ElementType) throws(ModelFileError) {
    guard type.byteCount(elements: elements) == bytes else {
      throw ModelFileError(
        .invalidArgument, context: "encoding \(type.rawValue.uppercased())", expected: "whole blocks of 32 elements",
        found: "\(elements) elements into \(bytes) bytes", advice: "keep rows a multiple of 32 long")
    }
  }

  static func check(scale: Float, finite: Bool, block: Int) throws(ModelFileError) {
    guard finite, half(scale) & 0x7FFF < 0x7C00 else {
      throw ModelFileError(
        .invalidArgument, context: "block \(block)", expected: "finite weights within the range of half precision",
        found: finite ? "a scale of \(scale)" : "a weight that is not finite",
        advice: "the model has diverged; do not export it")
    }
  }
}
