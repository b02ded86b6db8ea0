import CKernels
import ModelFiles

/// The weights of one linear layer, [out, in], packed once for products with few or many rows.
///
/// F32, F16 and BF16 weights are packed as fp32; Q8_0 weights stay 8-bit. Either way each output element is one chain of fused
/// multiply-adds over the (dequantized) weights, so the bits do not depend on how many rows are multiplied at once.
///
/// `@unchecked Sendable`: the packed memory is written in `init` and never again.
final class WeightMatrix: @unchecked Sendable {
  /// The number of outputs.
  let rows: Int
  /// The number of inputs.
  let columns: Int
  /// Whether the weights are Q8_0 blocks.
  let isQuantized: Bool
  /// The size of the packed weights in bytes.
  let byteCount: Int
  private let memory: UnsafeMutableRawPointer

  /// Packs `rows` × `columns` floats, row-major.
  init(floats: UnsafePointer<Float>, rows: Int, columns: Int) {
    self.rows = rows
    self.columns = columns
    isQuantized = false
    let count = retort_gemm_packed_size(rows, columns)
    byteCount = count * MemoryLayout<Float>.stride
    memory = .allocate(byteCount: max(64, byteCount), alignment: 64)
    retort_gemm_pack(
      RETORT_NT, rows, columns, floats, columns, memory.bindMemory(to: Float.self, capacity: max(16, count)))
  }

  /// Packs rows of Q8_0 blocks as ggml lays them out; `columns` is a multiple of 32.
  init(blocks: UnsafePointer<UInt8>, rows: Int, columns: Int) {
    self.rows = rows
    self.columns = columns
    isQuantized = true
    byteCount = retort_q8_0_packed_size(rows, columns)
    memory = .allocate(byteCount: max(64, byteCount), alignment: 64)
    retort_q8_0_pack(rows, columns, blocks, memory.bindMemory(to: UInt8.self, capacity: max(64, byteCount)))
  }

  deinit { memory.deallocate() }

  /// Floats of scratch that ``multiply`` needs for `count` rows.
  func scratch(count: Int) -> Int { isQuantized ? retort_q8_0_gemm_scratch(count, rows, columns) : 0 }

  /// output[i] = bias (or 0) + weights · input[i] for `count` rows, `outputStride` floats apart.
  func multiply(
    _ input: UnsafePointer<Float>, count: Int, into output: UnsafeMutablePointer<Float>, outputStride: Int,
    bias: UnsafePointer<Float>? = nil, scratch: UnsafeMutablePointer<Float>
  ) {
    if isQuantized {
      retort_q8_0_gemm(
        count, rows, columns, input, columns, memory.assumingMemoryBound(to: UInt8.self), output, outputStride, bias, 0,
        scratch)
    } else {
      retort_gemm_packed(
        count, rows, columns, input, columns, memory.assumingMemoryBound(to: Float.self), output, outputStride, bias, 0)
    }
  }
}
