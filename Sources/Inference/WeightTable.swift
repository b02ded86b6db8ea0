import CKernels
import ModelFiles

/// A matrix as a file or a buffer holds it: [rows, columns], row-major, in a format that the kernels read.
///
/// `@unchecked Sendable`: the memory is read-only, and kept alive by `owner`.
struct WeightTable: @unchecked Sendable {
  /// How the weights are stored.
  let type: retort_weight_type
  /// The number of rows: outputs of a layer, tokens of an embedding.
  let rows: Int
  /// The number of columns: inputs of a layer, channels of an embedding.
  let columns: Int
  /// The first byte.
  let start: UnsafePointer<UInt8>
  /// Which row each stored row is; nil: they are in order.
  private let storedOrder: [Int32]?
  private let owner: (any Sendable)?

  /// The weights of a mapped tensor [rows, columns], all finite.
  ///
  /// - Parameters:
  ///   - storedOrder: which row each stored row is.
  ///   - isChecked: whether the values are known to be finite.
  /// - Throws: ``InferenceError`` `unsupported` for other formats, `bad_tensor` for values that are not finite.
  init(
    _ tensor: TensorView, in file: String, storedOrder: [Int32]? = nil, isChecked: Bool = false
  ) throws(InferenceError) {
    guard let type = tensor.type.weightType, tensor.shape.count == 2, let start = tensor.bytes.baseAddress else {
      throw InferenceError(
        .unsupported, context: "\(file), \(tensor.name)", expected: "F32, F16, BF16, Q8_0, Q4_0, Q4_K or Q6_K",
        found: tensor.type.rawValue.uppercased(), advice: "convert the file to one of these types")
    }
    self.init(
      type: type, rows: tensor.shape[0], columns: tensor.shape[1], start: start.assumingMemoryBound(to: UInt8.self),
      storedOrder: storedOrder, owner: tensor)
    guard isChecked || isFinite else { throw .notFinite(tensor.name, in: file) }
  }

  /// Floats [rows, columns], which must stay in place as long as they are used, or be kept alive by `owner`.
  init(floats: UnsafePointer<Float>, rows: Int, columns: Int, owner: FloatStorage? = nil) {
    self.init(
      type: RETORT_WEIGHT_F32, rows: rows, columns: columns,
      start: UnsafeRawPointer(floats).assumingMemoryBound(to: UInt8.self), storedOrder: nil, owner: owner)
  }

  private init(
    type: retort_weight_type, rows: Int, columns: Int, start: UnsafePointer<UInt8>, storedOrder: [Int32]?,
    owner: (any Sendable)?
  ) {
    self.type = type
    self.rows = rows
    self.columns = columns
    self.start = start
    self.storedOrder = storedOrder
    self.owner = owner
  }

  /// The bytes of one row.
  var rowBytes: Int { retort_weight_row_size(type, columns) }

  /// Whether every weight is a finite number.
  var isFinite: Bool { retort_weight_is_finite(type, rows, columns, start) != 0 }

  /// Whether the rows are stored in their order.
  var isInOrder: Bool { storedOrder == nil }

  /// Adds the bytes of all rows, in their order.
  func append(to bytes: inout [UInt8]) {
    guard let storedOrder else {
      bytes.append(contentsOf: UnsafeBufferPointer(start: start, count: rows * rowBytes))
      return
    }
    let first = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: rows * rowBytes))
    for (stored, row) in storedOrder.enumerated() {
      let source = UnsafeBufferPointer(start: start + stored * rowBytes, count: rowBytes)
      bytes.replaceSubrange((first + Int(row) * rowBytes)..<(first + (Int(row) + 1) * rowBytes), with: source)
    }
  }

  /// Writes the rows of `indices`, which must be within the table and stored in order, as floats.
  func copyRows(_ indices: [Int32], into target: UnsafeMutablePointer<Float>) {
    retort_weight_rows(type, columns, start, indices, indices.count, target)
  }
}

extension InferenceError {
  static func notFinite(_ name: String, in file: String) -> InferenceError {
    InferenceError(
      .badTensor, context: "\(file), \(name)", expected: "finite numbers", found: "an infinite value or NaN",
      advice: "fetch or write the file again; if that does not help the training has diverged")
  }
}
