import CKernels

/// What this machine can do at most, measured now and on the threads in force: the yardsticks of the benchmarks.
package enum MachineLimits {
  /// Memory to be read again and again: from the system's memory, or from the cache where it fits.
  final class ReadStretch {
    private let memory: UnsafeMutablePointer<UInt8>
    private let size: Int

    /// `size` bytes, at least 64 KB, no two pages alike: a virtual machine's host may keep equal ones once, and they are then read from
    /// its cache.
    init(size: Int) {
      self.size = max(size, 1 << 16)
      memory = .allocate(capacity: self.size)
      for index in 0..<self.size {
        (memory + index).initialize(to: UInt8(truncatingIfNeeded: (UInt64(index) &* 0x9E37_79B9_7F4A_7C15) >> 32))
      }
      retort_gather_large_pages(memory, self.size)
    }

    deinit { memory.deallocate() }

    /// The seconds that reading it `passes` times takes, on all threads.
    func seconds(passes: Int) -> Double {
      let start = ContinuousClock.now
      for _ in 0..<passes { withExtendedLifetime(retort_limit_read(memory, size)) {} }
      return MachineLimits.seconds(since: start)
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
      best = max(best, Double(amount) / max(seconds(since: start), 1e-9))
    }
    return best
  }

  static func seconds(since start: ContinuousClock.Instant) -> Double {
    let parts = (ContinuousClock.now - start).components
    return Double(parts.seconds) + Double(parts.attoseconds) * 1e-18
  }
}
