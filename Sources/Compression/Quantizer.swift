import ModelFiles
import StudentModel

/// Rounds tensors to the formats of a file.
enum Quantizer {
  /// The bytes of a tensor rounded value by value, to the nearest; and what they decode to, piece by piece.
  ///
  /// - Parameter decoded: gets each piece's first element and its decoded values, in order.
  static func nearest(
    _ values: UnsafeBufferPointer<Float>, as type: ElementType,
    decoded: (Int, UnsafeBufferPointer<Float>) -> Void = { _, _ in }
  ) throws(ModelFileError) -> [UInt8] {
    // Pieces of a megabyte: the embedding of a large vocabulary is never held twice.
    let piece = 1 << 18
    var bytes: [UInt8] = []
    bytes.reserveCapacity(type.byteCount(elements: values.count) ?? 0)
    var buffer = [Float](repeating: 0, count: min(piece, values.count))
    var failure: ModelFileError?
    for start in stride(from: 0, to: values.count, by: piece) {
      let part = UnsafeBufferPointer(rebasing: values[start..<min(start + piece, values.count)])
      let encoded = try encode(part, as: type)
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
  static func round(_ values: UnsafeMutableBufferPointer<Float>, to type: ElementType) throws(ModelFileError) {
    guard type != .f32 else { return }
    _ = try nearest(UnsafeBufferPointer(values), as: type) { start, decoded in
      for index in decoded.indices { values[start + index] = decoded[index] }
    }
  }

  private static func encode(
    _ values: UnsafeBufferPointer<Float>, as type: ElementType
  ) throws(ModelFileError) -> [UInt8] {
    switch type {
    case .q8_0: try Quantization.q8_0(Array(values))
    case .q6_k: try Quantization.q6_k(Array(values))
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
