// Q4_K (ggml, little-endian), 144 bytes for 256 elements: d and dmin (IEEE halves), 12 bytes with the six-bit scales and minima of
// eight parts of 32, 128 bytes with q in four bits; x = d · scale · q − dmin · minimum. Of the twelve bytes, byte j in 0…3 holds scale j in
// its low six bits, byte 4 + j minimum j, byte 8 + j the low four bits of scale and of minimum 4 + j; their high two bits stand above scale
// and minimum j. Of each 32 bytes with q, byte i holds element i of the even part in its low and of the odd part in its high bits.

// swift-format-ignore: AlwaysUseLowerCamelCase
extension Quantization {
  /// `values` as Q4_K blocks. The format is ggml's; scales and minima are our own choice, see ``Q4KGrid``.
  ///
  /// - Parameter importance: what the squared error of each number counts, as many as values or one row's, which is repeated;
  ///   10⁻⁶…10⁶. Default: all the same.
  /// - Throws: ``ModelFileError`` `invalid_argument` for numbers that are not a multiple of 256, not finite, or larger than
  ///   65,504.
  public static func q4_k(_ values: [Float], importance: [Float]? = nil) throws(ModelFileError) -> [UInt8] {
    let weights = importance ?? [Float](repeating: 1, count: superBlockSize)
    guard values.count % superBlockSize == 0, weights.count % superBlockSize == 0, !weights.isEmpty else {
      throw ModelFileError(
        .invalidArgument, context: "encoding Q4_K", expected: "whole blocks of 256 elements",
        found: "\(values.count) elements, \(weights.count) weights", advice: "keep rows a multiple of 256 long")
    }
    if let index = values.firstIndex(where: { !(abs($0) <= 65_504) }) {
      throw ModelFileError(
        .invalidArgument, context: "block \(index / superBlockSize)", expected: "weights of at most 65,504",
        found: "\(values[index])", advice: "the model has diverged; do not export it")
    }
    var bytes = [UInt8](repeating: 0, count: values.count / superBlockSize * 144)
    bytes.withUnsafeMutableBytes { bytes in
      values.withUnsafeBufferPointer { values in
        weights.withUnsafeBufferPointer { weights in
          guard let values = values.baseAddress, let first = weights.baseAddress else { return }
          for start in stride(from: 0, to: bytes.count / 144 * superBlockSize, by: superBlockSize) {
            let grid = Q4KGrid(fitting: values + start, weights: first + start % weights.count)
            let target = UnsafeMutableRawBufferPointer(rebasing: bytes[(start / superBlockSize * 144)...])
            grid.write(grid.codes(values + start), to: target)
          }
        }
      }
    }
    return bytes
  }
}
