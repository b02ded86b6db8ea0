import CKernels

/// The threads and the instruction set that the kernels of this process use; neither can change a result.
public enum KernelPool {
  /// The number of threads, the calling one included.
  public static var threads: Int { Int(retort_pool_threads()) }

  /// Sets the number of threads.
  ///
  /// - Parameter count: 1…64; values outside are clamped.
  /// - Returns: the number now in force.
  @discardableResult
  public static func setThreads(_ count: Int) -> Int {
    Int(retort_pool_set_threads(Int32(max(1, min(count, Int(RETORT_MAXIMUM_THREADS))))))
  }

  /// Runs `body` with all that the calling thread computes on that thread alone, as where the pool has one thread.
  public static func alone<Result>(_ body: () throws -> Result) rethrows -> Result {
    let before = retort_pool_alone(1)
    defer { retort_pool_alone(before) }
    return try body()
  }

  /// The instruction set in use: `portable`, `avx2`, `avx512` or `avx512-bf16`.
  public static var level: String {
    switch retort_kernels_level() {
    case RETORT_LEVEL_AVX512_BF16: "avx512-bf16"
    case RETORT_LEVEL_AVX512: "avx512"
    case RETORT_LEVEL_AVX2: "avx2"
    default: "portable"
    }
  }
}
