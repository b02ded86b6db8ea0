package import ModelFiles

/// How matrices are stored; norms and biases are always F32.
///
/// As text: `q8_0`, `q6_k`, `q4_k`, `q4_0`, `f16`, `bf16` or `f32` for all matrices, or `bytes=1.6MB`: formats chosen tensor by tensor so that the
/// file is at most so large, see ``PrecisionMix``.
public enum QuantizationPlan: Sendable, Hashable {
  /// A format for all matrices.
  public enum WeightType: String, Sendable, Hashable, CaseIterable {
    /// Blocks of 32 signed bytes with a half-precision scale.
    case q8 = "q8_0"
    /// Blocks of 32 half bytes with a half-precision scale; what gives the logits is stored as Q8_0.
    case q4 = "q4_0"
    /// Blocks of 256 six-bit numbers with sixteen scales and a half-precision one; Q8_0 where rows are no whole blocks.
    case q6 = "q6_k"
    /// Blocks of 256 half bytes with six-bit scales and minima for each 32 of them. Where rows are no whole blocks Q8_0: never less
    /// exact than asked for (llama.cpp takes Q5_0 there). What gives the logits is stored as Q6_K, or Q8_0.
    case q4k = "q4_k"
    /// Half precision.
    case f16
    /// bfloat16.
    case bf16
    /// Single precision.
    case f32
  }

  /// One format.
  case uniform(WeightType)
  /// A mix of Q4_K, Q4_0, Q6_K and Q8_0 in a file of at most so many bytes.
  case bytes(Int)

  /// Reads a plan.
  ///
  /// - Throws: ``CompressionError`` `invalid_policy`.
  public init(_ text: String) throws(CompressionError) {
    if let type = WeightType(rawValue: text) {
      self = .uniform(type)
    } else if text.hasPrefix("bytes="), let bytes = Self.bytes(text.dropFirst(6)) {
      self = .bytes(bytes)
    } else {
      throw CompressionError(
        .invalidPolicy, context: "quantize",
        expected:
          "one of \(WeightType.allCases.map(\.rawValue).joined(separator: ", ")), or a size such as bytes=1.6MB",
        found: "\"\(text.prefix(64))\"", advice: "see retort compress --help")
    }
  }

  /// The plan as text that reads back as the same.
  public var text: String {
    switch self {
    case .uniform(let type): type.rawValue
    case .bytes(let count): "bytes=\(count)"
    }
  }

  /// The number of bytes that a text such as `1600000`, `1.6MB` or `900KiB` names; nil for another text.
  static func bytes(_ text: some StringProtocol) -> Int? {
    let units = [("KiB", 0x1p10), ("MiB", 0x1p20), ("GiB", 0x1p30), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9)]
    let (unit, factor) = units.first { text.lowercased().hasSuffix($0.0.lowercased()) } ?? ("", 1)
    guard let number = Double(text.dropLast(unit.count)), number > 0, number * factor < 1e15 else { return nil }
    return Int(number * factor)
  }

  /// The format of a tensor, before any mix: F32 for vectors, half precision where rows are no whole blocks.
  package func elementType(_ name: String, _ shape: [Int], tied: Bool) -> ElementType {
    guard shape.count == 2 else { return .f32 }
    switch self {
    case .uniform(.f32): return .f32
    case .uniform(.f16): return .f16
    case .uniform(.bf16): return .bf16
    case _ where shape[1] % Quantization.blockSize != 0: return .f16
    case .uniform(.q8): return .q8_0
    case .uniform(.q6): return shape[1] % Quantization.superBlockSize == 0 ? .q6_k : .q8_0
    case .uniform(.q4k):
      guard shape[1] % Quantization.superBlockSize == 0 else { return .q8_0 }
      return Self.givesLogits(name, tied: tied) ? .q6_k : .q4_k
    case .uniform(.q4): return Self.givesLogits(name, tied: tied) ? .q8_0 : .q4_0
    case .bytes: return shape[1] % Quantization.superBlockSize == 0 ? .q4_k : .q4_0
    }
  }

  private static func givesLogits(_ name: String, tied: Bool) -> Bool {
    name == "lm_head.weight" || (tied && name == "model.embed_tokens.weight")
  }
}
