import ModelFiles
import StudentModel

/// Turns a student's tensors into the bytes of a file, and measures what is lost.
enum Quantizer {
  /// One tensor as it is stored.
  struct Stored {
    let name: String
    let shape: [Int]
    let type: ElementType
    let bytes: [UInt8]
    let error: TensorError
  }

  /// A tensor's stored form: matrices as the policy says (half precision where their rows are no whole blocks), vectors F32.
  static func store(
    _ entry: ParameterLayout.Entry, of student: Student, as type: CompressionPolicy.WeightType
  ) throws(ModelFileError) -> Stored {
    let values = Array(student.parameters(entry))
    let element = elementType(entry, type)
    let bytes: [UInt8]
    var decoded = values
    switch element {
    case .q8_0:
      bytes = try Quantization.q8_0(values)
      bytes.withUnsafeBytes { source in
        decoded.withUnsafeMutableBufferPointer { Quantization.decodeQ8_0(source, into: $0) }
      }
    case .f16:
      let halves = values.map { Quantization.half($0) }
      decoded = halves.map { Quantization.float(half: $0) }
      bytes = halves.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
    default:
      bytes = values.flatMap { value in
        (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> UInt32(8 * $0)) }
      }
    }
    return Stored(
      name: entry.name, shape: entry.shape, type: element, bytes: bytes,
      error: TensorError(name: entry.name, type: element, original: values, stored: decoded))
  }

  private static func elementType(
    _ entry: ParameterLayout.Entry, _ type: CompressionPolicy.WeightType
  ) -> ElementType {
    guard entry.shape.count == 2 else { return .f32 }
    switch type {
    case .q8: return entry.shape[1] % Quantization.blockSize == 0 ? .q8_0 : .f16
    case .f16: return .f16
    case .f32: return .f32
    }
  }
}
