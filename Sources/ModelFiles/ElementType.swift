package import CKernels

// swift-format-ignore: AlwaysUseLowerCamelCase
/// The type of a tensor's elements, as a safetensors or GGUF file stores them.
///
/// Quantized types store rows in blocks; their layouts are ggml's.
public enum ElementType: String, Sendable, Hashable, CaseIterable {
  case f64, f32, f16, bf16
  case i8, i16, i32, i64, u8, u16, u32, u64, bool
  case q4_0, q4_1, q5_0, q5_1, q8_0, q8_1
  case q2_k, q3_k, q4_k, q5_k, q6_k, q8_k

  /// The number of elements that are stored together; 1 for plain types.
  public var blockSize: Int { layout.elements }

  /// The bytes of one block of ``blockSize`` elements.
  public var blockBytes: Int { layout.bytes }

  /// The bytes that `elements` elements take, or nil where they do not fill whole blocks, are negative, or overflow.
  public func byteCount(elements: Int) -> Int? {
    let (size, bytes) = layout
    guard elements >= 0, elements % size == 0 else { return nil }
    let (count, overflow) = (elements / size).multipliedReportingOverflow(by: bytes)
    return overflow ? nil : count
  }

  private var layout: (elements: Int, bytes: Int) {
    switch self {
    case .f64, .i64, .u64: (1, 8)
    case .f32, .i32, .u32: (1, 4)
    case .f16, .bf16, .i16, .u16: (1, 2)
    case .i8, .u8, .bool: (1, 1)
    case .q4_0: (32, 18)
    case .q4_1: (32, 20)
    case .q5_0: (32, 22)
    case .q5_1: (32, 24)
    case .q8_0: (32, 34)
    case .q8_1: (32, 36)
    case .q2_k: (256, 84)
    case .q3_k: (256, 110)
    case .q4_k: (256, 144)
    case .q5_k: (256, 176)
    case .q6_k: (256, 210)
    case .q8_k: (256, 292)
    }
  }

  /// The number that stands for this type in a GGUF file (`enum ggml_type`), or nil where GGUF has none.
  public var ggufCode: UInt32? { Self.ggufCodes[self] }

  /// The kernels' name of this type, or nil for types that hold no weights they multiply.
  package var weightType: retort_weight_type? {
    switch self {
    case .f32: RETORT_WEIGHT_F32
    case .f16: RETORT_WEIGHT_F16
    case .bf16: RETORT_WEIGHT_BF16
    case .q8_0: RETORT_WEIGHT_Q8_0
    case .q4_0: RETORT_WEIGHT_Q4_0
    case .q4_k: RETORT_WEIGHT_Q4_K
    case .q6_k: RETORT_WEIGHT_Q6_K
    default: nil
    }
  }

  init?(ggufCode: UInt32) {
    guard let type = Self.ggufTypes[ggufCode] else { return nil }
    self = type
  }

  private static let ggufCodes: [ElementType: UInt32] = [
    .f32: 0, .f16: 1, .q4_0: 2, .q4_1: 3, .q5_0: 6, .q5_1: 7, .q8_0: 8, .q8_1: 9, .q2_k: 10, .q3_k: 11, .q4_k: 12,
    .q5_k: 13, .q6_k: 14, .q8_k: 15, .i8: 24, .i16: 25, .i32: 26, .i64: 27, .f64: 28, .bf16: 30,
  ]
  private static let ggufTypes: [UInt32: ElementType] = {
    var types: [UInt32: ElementType] = [:]
    for (type, code) in ggufCodes { types[code] = type }
    return types
  }()

  /// The `dtype` of this type in a safetensors file, or nil where safetensors has none.
  public var safetensorsName: String? { blockSize == 1 ? rawValue.uppercased() : nil }

  init?(safetensorsName: String) {
    guard let type = Self.allCases.first(where: { $0.safetensorsName == safetensorsName }) else { return nil }
    self = type
  }
}

/// The number of elements of a shape, or nil where a size is negative or the product overflows.
func elementCount(_ shape: [Int]) -> Int? {
  var count = 1
  for size in shape {
    let (product, overflow) = count.multipliedReportingOverflow(by: size)
    guard size >= 0, !overflow else { return nil }
    count = product
  }
  return count
}
