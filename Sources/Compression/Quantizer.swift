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

  /// A tensor's stored form: matrices as the policy says, vectors F32; rows in the order of a GGUF file.
  ///
  /// Matrices whose rows are no whole blocks take the nearest type that fits: Q8_0 for Q6_K, else half precision.
  static func store(
    _ entry: ParameterLayout.Entry, of student: Student, as type: CompressionPolicy.WeightType
  ) throws(ModelFileError) -> Stored {
    var values = Array(student.parameters(entry))
    if let order = student.configuration.ggufRowOrder(entry.name) {
      let width = entry.shape[1]
      values = order.flatMap { row in values[(Int(row) * width)..<((Int(row) + 1) * width)] }
    }
    let element = elementType(entry, type)
    let bytes: [UInt8] =
      switch element {
      case .q8_0: try Quantization.q8_0(values)
      case .q4_0: try Quantization.q4_0(values)
      case .q6_k: try Quantization.q6_k(values)
      case .f16: values.flatMap { littleEndian(Quantization.half($0)) }
      case .bf16: values.flatMap { littleEndian(Quantization.bfloat($0)) }
      default: values.flatMap { littleEndian($0.bitPattern) }
      }
    var decoded = values
    try decode(bytes, element, into: &decoded)
    return Stored(
      name: entry.name, shape: entry.shape, type: element, bytes: bytes,
      error: TensorError(name: entry.name, type: element, original: values, stored: decoded))
  }

  private static func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }

  private static func decode(
    _ bytes: [UInt8], _ type: ElementType, into values: inout [Float]
  ) throws(ModelFileError) {
    var failure: ModelFileError?
    bytes.withUnsafeBytes { source in
      values.withUnsafeMutableBufferPointer { target in
        do throws(ModelFileError) { try Quantization.decode(source, as: type, into: target) } catch { failure = error }
      }
    }
    if let failure { throw failure }
  }

  private static func elementType(
    _ entry: ParameterLayout.Entry, _ type: CompressionPolicy.WeightType
  ) -> ElementType {
    guard entry.shape.count == 2 else { return .f32 }
    let width = entry.shape[1]
    switch type {
    case .q6 where width % Quantization.superBlockSize == 0: return .q6_k
    case .q4 where width % Quantization.blockSize == 0: return .q4_0
    case .q8 where width % Quantization.blockSize == 0, .q6 where width % Quantization.blockSize == 0: return .q8_0
    case .q8, .q6, .q4, .f16: return .f16
    case .bf16: return .bf16
    case .f32: return .f32
    }
  }
}
