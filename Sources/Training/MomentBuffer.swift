import CKernels
import StudentModel

/// One of AdamW's moving averages for all parameters: fp32, bfloat16, or a byte an element with a scale for each block of a tensor.
final class MomentBuffer {
  let storage: OptimizerState
  /// The values in canonical order; the blocks' scales follow those of one byte.
  let bytes: UnsafeMutableRawBufferPointer
  private let scalesStart: Int

  /// All zero.
  init(_ layout: ParameterLayout, _ storage: OptimizerState) {
    self.storage = storage
    scalesStart = Self.scales(layout, storage)
    let blocks = storage == .int8 ? Self.blocks(layout).total : 0
    bytes = .allocate(byteCount: max(64, scalesStart + blocks * 4), alignment: 64)
    _ = bytes.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit { bytes.deallocate() }

  /// The first scale of each tensor, and how many scales there are.
  static func blocks(_ layout: ParameterLayout) -> (starts: [Int], total: Int) {
    var (starts, total) = ([Int](), 0)
    for entry in layout.entries {
      starts.append(total)
      total += (entry.count + Int(RETORT_MOMENT_BLOCK) - 1) / Int(RETORT_MOMENT_BLOCK)
    }
    return (starts, total)
  }

  /// Where the scales begin, in bytes.
  static func scales(_ layout: ParameterLayout, _ storage: OptimizerState) -> Int {
    (layout.count * storage.bytesPerElement + 3) / 4 * 4
  }

  /// The values as floats, of fp32 storage.
  var floats: UnsafeMutablePointer<Float>? { bytes.baseAddress?.assumingMemoryBound(to: Float.self) }

  /// One tensor's part, of storage below fp32.
  func part(offset: Int, firstBlock: Int) -> retort_moments {
    let scales = bytes.baseAddress.map { $0 + scalesStart + firstBlock * 4 }
    return retort_moments(
      values: bytes.baseAddress.map { $0 + offset * storage.bytesPerElement },
      scales: storage == .int8 ? scales?.assumingMemoryBound(to: Float.self) : nil)
  }
}
