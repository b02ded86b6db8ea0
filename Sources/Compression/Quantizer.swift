import ModelFiles
import StudentModel

/// Rounds tensors to the formats of a file.
enum Quantizer {
  /// The bytes of a tensor rounded value by value, to the nearest; and what they decode to, piece by piece.
  ///
  /// - Parameter importance: what errors in each column count where a format's scales are searched for (Q4_K), as
  ///   ``importance(_:)`` gives it; nil: all the same.
  /// - Parameter decoded: gets each piece's first element and its decoded values, in order.
  static func nearest(
    _ values: UnsafeBufferPointer<Float>, as type: ElementType, importance: [Float]? = nil,
    decoded: (Int, UnsafeBufferPointer<Float>) -> Void = { _, _ in }
  ) throws(ModelFileError) -> [UInt8] {
    // Pieces of about a megabyte, whole rows: the embedding of a large vocabulary is never held twice.
    let width = importance?.count ?? 1
    let piece = max(width, (1 << 18) / width * width)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(type.byteCount(elements: values.count) ?? 0)
    var buffer = [Float](repeating: 0, count: min(piece, values.count))
    var failure: ModelFileError?
    for start in stride(from: 0, to: values.count, by: piece) {
      let part = UnsafeBufferPointer(rebasing: values[start..<min(start + piece, values.count)])
      let encoded = try encode(part, as: type, importance)
      bytes += encoded
      buffer.withUnsafeMutableBufferPointer { buffer in
        let target = UnsafeMutableBufferPointer(rebasing: buffer[0..<part.count])
        encoded.withUnsafeBytes { source in
          do throws(ModelFileError) {
            try Quantization.decode(source, as: type, into: target)
          } catch {
            failure = error
          }
        }
        if failure == nil { decoded(start, UnsafeBufferPointer(target)) }
      }
      if let failure { throw failure }
    }
    return bytes
  }

  /// Replaces values by the nearest that the format holds.
  static func round(
    _ values: UnsafeMutableBufferPointer<Float>, to type: ElementType, importance: [Float]? = nil
  ) throws(ModelFileError) {
    guard type != .f32 else { return }
    _ = try nearest(UnsafeBufferPointer(values), as: type, importance: importance) { start, decoded in
      for index in decoded.indices { values[start + index] = decoded[index] }
    }
  }

  /// What errors in each column count, from the mean squares that a layer reads there: relative to their mean, 10⁻⁶…10⁶; nil where
  /// nothing was read.
  static func importance(_ squares: [Float]) -> [Float]? {
    let mean = squares.reduce(0) { $0 + Double($1) } / Double(max(1, squares.count))
    guard mean > 0, mean.isFinite else { return nil }
    return squares.map { Float(min(1e6, max(1e-6, Double($0) / mean))) }
  }

  private static func encode(
    _ values: UnsafeBufferPointer<Float>, as type: ElementType, _ importance: [Float]?
  ) throws(ModelFileError) -> [UInt8] {
    switch type {
    case .q8_0: try Quantization.q8_0(Array(values))
    case .q6_k: try Quantization.q6_k(Array(values))
    case .q4_k: try Quantization.q4_k(Array(values), importance: importance)
    case .q4_0: try Quantization.q4_0(Array(values))
    case .f16: values.flatMap { littleEndian(Quantization.half($0)) }
    case .bf16: values.flatMap { littleEndian(Quantization.bfloat($0)) }
    default: values.flatMap { littleEndian($0.bitPattern) }
    }
  }

  private static func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }
}
