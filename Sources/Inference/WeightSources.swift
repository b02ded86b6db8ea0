import ModelFiles

/// Weights in a file, mapped: F32, F16, BF16, Q8_0, Q4_0, Q4_K and Q6_K matrices, and F32, F16 and BF16 vectors.
struct FileWeights: ModelWeights.Source {
  /// What the file is called in messages.
  private let name: String
  private let find: (String, [Int]) throws(ModelFileError) -> TensorView
  private let rowOrder: (String) -> [Int32]?
  private let isChecked: Bool

  /// Weights of a GGUF file.
  ///
  /// - Parameter isChecked: whether its matrices are known to be finite, and need not be read to see it.
  init(_ file: GGUFFile, _ configuration: DecoderConfiguration, isChecked: Bool = false) {
    (name, self.isChecked) = (file.name, isChecked)
    find = { (parameter, shape) throws(ModelFileError) in try file.parameter(parameter, shape: shape) }
    rowOrder = { configuration.ggufRowOrder($0) }
  }

  /// Weights of a Hugging Face folder.
  init(_ folder: HuggingFaceFolder) {
    (name, isChecked) = (folder.path, false)
    find = { (parameter, _) throws(ModelFileError) in try folder.tensor(parameter) }
    rowOrder = { _ in nil }
  }

  func vector(_ name: String, _ shape: [Int]) throws(InferenceError) -> FloatStorage {
    let tensor = try tensor(name, shape)
    guard [.f32, .f16, .bf16].contains(tensor.type) else {
      throw InferenceError(
        .unsupported, context: "\(self.name), \(tensor.name)", expected: "F32, F16 or BF16 for a vector",
        found: tensor.type.rawValue.uppercased(), advice: "convert the file to one of these types")
    }
    let storage: FloatStorage
    do throws(ModelFileError) {
      storage = try FloatStorage(count: tensor.count) { (buffer) throws(ModelFileError) in
        try tensor.copyFloats(into: buffer)
      }
    } catch {
      throw InferenceError(error)
    }
    guard storage.isFinite else { throw .notFinite(tensor.name, in: self.name) }
    return storage
  }

  func table(_ name: String, _ shape: [Int]) throws(InferenceError) -> WeightTable {
    try WeightTable(tensor(name, shape), in: self.name, storedOrder: rowOrder(name), isChecked: isChecked)
  }

  func embedding(_ name: String, _ shape: [Int]) throws(InferenceError) -> WeightTable { try table(name, shape) }

  private func tensor(_ name: String, _ shape: [Int]) throws(InferenceError) -> TensorView {
    do throws(ModelFileError) { return try find(name, shape) } catch { throw InferenceError(error) }
  }
}

/// Weights that are written tensor by tensor while the model is made; but for norms, biases and the embedding only what is packed of
/// them is kept.
struct WrittenWeights: ModelWeights.Source {
  /// Writes all values of the parameter of a name.
  private let write: (_ name: String, _ values: UnsafeMutableBufferPointer<Float>) -> Void

  init(_ write: @escaping (_ name: String, _ values: UnsafeMutableBufferPointer<Float>) -> Void) { self.write = write }

  /// Weights in one flat buffer in canonical order, which is checked against the configuration.
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
    write = { name, values in
      let offset = offsets[name] ?? 0
      _ = values.update(fromContentsOf: buffer[offset..<offset + values.count])
    }
  }

  func vector(_ name: String, _ shape: [Int]) throws(InferenceError) -> FloatStorage {
    let storage = FloatStorage(count: shape.reduce(1, *)) { write(name, $0) }
    guard storage.isFinite else { throw .notFinite(name, in: "parameters") }
    return storage
  }

  func table(_ name: String, _ shape: [Int]) throws(InferenceError) -> WeightTable {
    let values = try vector(name, shape)
    return WeightTable(floats: values.pointer, rows: shape[0], columns: shape[1], owner: values)
  }

  func embedding(_ name: String, _ shape: [Int]) throws(InferenceError) -> WeightTable { try table(name, shape) }
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
