import CKernels

/// What this machine can do at most, measured now and on the threads in force: the yardsticks of the benchmarks.
package enum MachineLimits {
  /// Bytes a second of reading `size` bytes again and again: from memory, or from the cache where they fit. The best of five.
  static func readRate(size: Int) -> Double {
    let size = max(size, 1 << 16)
    let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: size)
    defer { memory.deallocate() }
    // No two pages alike: a virtual machine's host may keep equal ones once, and they are then read from its cache.
    for index in 0..<size {
      (memory + index).initialize(to: UInt8(truncatingIfNeeded: (UInt64(index) &* 0x9E37_79B9_7F4A_7C15) >> 32))
    }
    // Small buffers are read often enough to be timed.
    let passes = max(1, (64 << 20) / size)
    return rate {
      for _ in 0..<passes { withExtendedLifetime(retort_limit_read(memory, size)) {} }
      return UInt64(passes * size)
    }
  }

  /// Operations a second (a multiplication and an addition are two) of multiplying weights of a type in registers.
  static func multiplicationRate(_ type: retort_weight_type) -> Double {
    rate { retort_limit_multiply(type, 200_000) }
  }

  /// Operations a second of products in training: of single-precision numbers, or of bfloat16 ones.
  package static func productRate(bfloat: Bool) -> Double {
    multiplicationRate(bfloat ? RETORT_WEIGHT_BF16 : RETORT_WEIGHT_F32)
  }

  private static func rate(_ work: () -> UInt64) -> Double {
    var best = 0.0
    for _ in 0..<5 {
      let start = ContinuousClock.now
      let amount = work()
      let parts = (ContinuousClock.now - start).components
      best = max(best, Double(amount) / max(Double(parts.seconds) + Double(parts.attoseconds) * 1e-18, 1e-9))
    }
    return best
  }
}
