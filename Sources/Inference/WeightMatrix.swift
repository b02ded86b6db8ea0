import CKernels
import ModelFiles

/// The weights of one linear layer, [out, in], packed once in their own format for products with few or many rows.
///
/// The bits of a product do not depend on how many rows are multiplied at once; what they are is said in `retort_linear.h`.
///
/// `@unchecked Sendable`: the packed memory is written in `init`, or is a file mapped read-only, and is never written again.
final class WeightMatrix: @unchecked Sendable {
  /// The number of outputs.
  let rows: Int
  /// The number of inputs.
  let columns: Int
  /// How the weights are stored.
  let type: retort_weight_type
  /// The size of the packed weights in bytes.
  let byteCount: Int
  private let memory: UnsafePointer<UInt8>
  /// The mapped file that the memory belongs to; nil: it is this matrix's own.
  private let owner: DerivedContents?

  /// Outputs that are computed together.
  static let panel = Int(RETORT_PANEL)

  /// Packs one or more tables of the same type and width, one below the other.
  convenience init(_ tables: [WeightTable]) {
    let (type, columns) = (tables[0].type, tables[0].columns)
    let rows = tables.reduce(0) { $0 + $1.rows }
    let size = Self.storedSize(type, rows, columns)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64).bindMemory(
      to: UInt8.self, capacity: size)
    (memory + (size - 64)).initialize(repeating: 0, count: 64)
    if tables.count == 1, tables[0].isInOrder {
      retort_linear_pack(type, rows, columns, tables[0].start, memory)
    } else {
      var joined: [UInt8] = []
      joined.reserveCapacity(rows * tables[0].rowBytes)
      for table in tables { table.append(to: &joined) }
      retort_linear_pack(type, rows, columns, joined, memory)
    }
    withExtendedLifetime(tables) {}
    self.init(type, rows, columns, UnsafePointer(memory), owner: nil)
  }

  /// Takes what ``stored`` of the same tables was from a mapped file, at `offset`, which is moved on.
  ///
  /// - Throws: ``InferenceError`` `bad_file` where the file has less.
  convenience init(
    _ tables: [WeightTable], stored file: DerivedContents, at offset: inout Int
  ) throws(InferenceError) {
    let (type, columns) = (tables[0].type, tables[0].columns)
    let rows = tables.reduce(0) { $0 + $1.rows }
    let size = Self.storedSize(type, rows, columns)
    guard offset + size <= file.bytes.count, let start = file.bytes.baseAddress else {
      throw InferenceError(
        .badFile, context: file.path, expected: "\(offset + size) bytes of packed weights",
        found: "\(file.bytes.count)", advice: "delete it")
    }
    self.init(type, rows, columns, (start + offset).assumingMemoryBound(to: UInt8.self), owner: file)
    offset += size
  }

  private init(
    _ type: retort_weight_type, _ rows: Int, _ columns: Int, _ memory: UnsafePointer<UInt8>, owner: DerivedContents?
  ) {
    (self.type, self.rows, self.columns, self.memory, self.owner) = (type, rows, columns, memory, owner)
    byteCount = retort_linear_packed_size(type, rows, columns)
  }

  deinit {
    if owner == nil { UnsafeMutablePointer(mutating: memory).deallocate() }
  }

  /// The packed weights as a file keeps them: whole cache lines.
  var stored: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: memory, count: Self.storedSize(type, rows, columns))
  }

  private static func storedSize(_ type: retort_weight_type, _ rows: Int, _ columns: Int) -> Int {
    max(64, (retort_linear_packed_size(type, rows, columns) + 63) / 64 * 64)
  }

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
