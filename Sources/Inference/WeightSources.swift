import ModelFiles

/// Weights in a GGUF file: F32, F16, BF16 and Q8_0 tensors, mapped.
struct FileWeights: ModelWeights.Source {
  let file: GGUFFile

  func vector(_ name: String, _ shape: [Int]) throws(InferenceError) -> FloatStorage {
    let tensor = try tensor(name, shape)
    guard tensor.type != .q8_0 else { throw unsupported(tensor, "F32, F16 or BF16 for a vector") }
    return try floats(of: tensor)
  }

  func matrix(_ name: String, _ shape: [Int]) throws(InferenceError) -> WeightMatrix {
    let tensor = try tensor(name, shape)
    let (rows, columns) = (shape[0], shape[1])
    guard tensor.type == .q8_0 else {
      let values = try floats(of: tensor)
      return withExtendedLifetime(values) { WeightMatrix(floats: values.pointer, rows: rows, columns: columns) }
    }
    try requireFiniteScales(tensor)
    guard let blocks = tensor.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else {
      throw unsupported(tensor, "a tensor that is not empty")
    }
    return withExtendedLifetime(tensor) { WeightMatrix(blocks: blocks, rows: rows, columns: columns) }
  }

  func embedding(_ name: String, _ shape: [Int]) throws(InferenceError) -> ModelWeights.Embedding {
    let tensor = try tensor(name, shape)
    guard tensor.type == .q8_0 else { return .floats(try floats(of: tensor)) }
    try requireFiniteScales(tensor)
    return .blocks(tensor)
  }

  private func tensor(_ name: String, _ shape: [Int]) throws(InferenceError) -> TensorView {
    let tensor: TensorView
    do throws(ModelFileError) {
      tensor = try file.parameter(name, shape: shape)
    } catch {
      throw InferenceError(error)
    }
    switch tensor.type {
    case .f32, .f16, .bf16, .q8_0: return tensor
    default: throw unsupported(tensor, "F32, F16, BF16 or Q8_0")
    }
  }

  private func floats(of tensor: TensorView) throws(InferenceError) -> FloatStorage {
    let storage: FloatStorage
    do throws(ModelFileError) {
      storage = try FloatStorage(count: tensor.count) { (buffer) throws(ModelFileError) in
        try tensor.copyFloats(into: buffer)
      }
    } catch {
      throw InferenceError(error)
    }
    guard storage.isFinite else { throw Self.notFinite(tensor.name, in: file.name) }
    return storage
  }

  /// A block whose scale is infinite or not a number would poison every answer.
  private func requireFiniteScales(_ tensor: TensorView) throws(InferenceError) {
    for offset in stride(from: 0, to: tensor.bytes.count, by: ElementType.q8_0.blockBytes) {
      let scale = UInt16(littleEndian: tensor.bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
      guard scale & 0x7C00 != 0x7C00 else { throw Self.notFinite(tensor.name, in: file.name) }
    }
  }

  private func unsupported(_ tensor: TensorView, _ expected: String) -> InferenceError {
    InferenceError(
      .unsupported, context: "\(file.name), \(tensor.name)", expected: expected,
      found: tensor.type.rawValue.uppercased(),
      advice: "convert the file to one of these types")
  }

  static func notFinite(_ name: String, in file: String) -> InferenceError {
    InferenceError(
      .badTensor, context: "\(file), \(name)", expected: "finite numbers", found: "an infinite value or NaN",
      advice: "fetch or write the file again; if that does not help the training has diverged")
  }
}

/// Weights in one flat buffer in canonical order, which is read while the model is made and not kept.
struct FlatWeights: ModelWeights.Source {
  let buffer: UnsafeBufferPointer<Float>
  let offsets: [String: Int]

  /// Checks the buffer against the configuration.
  init(_ configuration: DecoderConfiguration, _ buffer: UnsafeBufferPointer<Float>) throws(InferenceError) {
    var offsets: [String: Int] = [:]
    var offset = 0
    for (name, shape) in configuration.parameters {
      offsets[name] = offset
      offset += shape.reduce(1, *)
    }
    guard offset == buffer.count else {
      throw InferenceError(
        .badArgument, context: "parameters", expected: "\(offset) floats for this configuration",
        found: "\(buffer.count)",
        advice: "pass the parameters together with their own configuration")
    }
    self.buffer = buffer
    self.offsets = offsets
  }

  func vector(_ name: String, _ shape: [Int]) throws(InferenceError) -> FloatStorage {
    let values = try slice(name, shape)
    return FloatStorage(count: values.count) { buffer in _ = buffer.update(from: values) }
  }

  func matrix(_ name: String, _ shape: [Int]) throws(InferenceError) -> WeightMatrix {
    let values = try slice(name, shape)
    guard let start = values.baseAddress else { throw FileWeights.notFinite(name, in: "parameters") }
    return WeightMatrix(floats: start, rows: shape[0], columns: shape[1])
  }

  func embedding(_ name: String, _ shape: [Int]) throws(InferenceError) -> ModelWeights.Embedding {
    .floats(try vector(name, shape))
  }

  private func slice(_ name: String, _ shape: [Int]) throws(InferenceError) -> UnsafeBufferPointer<Float> {
    let offset = offsets[name] ?? 0
    let values = UnsafeBufferPointer(rebasing: buffer[offset..<offset + shape.reduce(1, *)])
    guard values.allSatisfy(\.isFinite) else { throw FileWeights.notFinite(name, in: "parameters") }
    return values
  }
}

extension InferenceError {
  /// The same in this module's terms.
  init(_ error: ModelFileError) {
    let code: Code
    switch error.code {
    case .io, .notFound: code = .unreadable
    case .truncated, .malformed, .tooLarge: code = .badFile
    case .missing, .invalidConfiguration: code = .badMetadata
    case .shapeMismatch: code = .badTensor
    default: code = .unsupported
    }
    self.init(
      code, context: error.context, expected: error.expected, found: error.found, advice: error.advice)
  }
}
