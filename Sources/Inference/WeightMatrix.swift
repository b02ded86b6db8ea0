import CKernels

/// The weights of one linear layer, [out, in], packed once in their own format for products with few or many rows.
///
/// The bits of a product do not depend on how many rows are multiplied at once; what they are is said in `retort_linear.h`.
///
/// `@unchecked Sendable`: the packed memory is written in `init` and never again.
final class WeightMatrix: @unchecked Sendable {
  /// The number of outputs.
  let rows: Int
  /// The number of inputs.
  let columns: Int
  /// How the weights are stored.
  let type: retort_weight_type
  /// The size of the packed weights in bytes.
  let byteCount: Int
  private let memory: UnsafeMutablePointer<UInt8>

  /// Outputs that are computed together.
  static let panel = Int(RETORT_PANEL)

  /// Packs one or more tables of the same type and width, one below the other.
  init(_ tables: [WeightTable]) {
    type = tables[0].type
    columns = tables[0].columns
    rows = tables.reduce(0) { $0 + $1.rows }
    byteCount = retort_linear_packed_size(type, rows, columns)
    let size = max(64, byteCount)
    memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64).bindMemory(
      to: UInt8.self, capacity: size)
    if tables.count == 1, tables[0].isInOrder {
      retort_linear_pack(type, rows, columns, tables[0].start, memory)
    } else {
      var joined: [UInt8] = []
      joined.reserveCapacity(rows * tables[0].rowBytes)
      for table in tables { table.append(to: &joined) }
      retort_linear_pack(type, rows, columns, joined, memory)
    }
    withExtendedLifetime(tables) {}
  }

  deinit { memory.deallocate() }

  /// Bytes of scratch that ``multiply`` needs for `count` rows.
  func scratch(count: Int) -> Int { retort_linear_scratch(type, count, rows, columns) }

  /// output[i] = bias (or 0) + weights · input[i] for `count` rows, `outputStride` floats apart.
  func multiply(
    _ input: UnsafePointer<Float>, count: Int, into output: UnsafeMutablePointer<Float>, outputStride: Int,
    bias: UnsafePointer<Float>? = nil, scratch: UnsafeMutablePointer<UInt8>
  ) {
    retort_linear(type, count, rows, columns, input, columns, memory, output, outputStride, bias, scratch)
  }

  /// The same for one row, without bias, and only the outputs of the given panels; nothing else is written.
  func multiply(
    _ input: UnsafePointer<Float>, panels: [Int32], into output: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<UInt8>
  ) {
    retort_linear_panels(type, rows, columns, input, memory, panels, panels.count, output, scratch)
  }
}
