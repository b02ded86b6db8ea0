import CKernels

/// Deterministic numbers in −1…1 for test inputs.
func numbers(_ count: Int, seed: UInt64 = 1, scale: Float = 1) -> [Float] {
  (0..<count).map { Float(Int64(bitPattern: retort_random_bits(seed, 7, UInt64($0))) >> 40) / Float(1 << 23) * scale }
}

/// The bits of an array, so that comparisons are exact.
func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }

/// The largest difference relative to the largest value.
func difference(_ a: [Float], _ b: [Float]) -> Float {
  guard a.count == b.count else { return .infinity }
  let size = b.reduce(Float(1e-20)) { max($0, abs($1)) }
  return zip(a, b).reduce(Float(0)) { $1.0.isFinite ? max($0, abs($1.0 - $1.1)) : .infinity } / size
}

/// Runs a body once for every level this machine has, and restores the one in force. Other tests may run meanwhile: no result depends
/// on the level.
func forEachLevel(_ body: (retort_level) throws -> Void) rethrows {
  let before = retort_kernels_level()
  defer { retort_kernels_select(before) }
  for level in [RETORT_LEVEL_PORTABLE, RETORT_LEVEL_AVX2, RETORT_LEVEL_AVX512, RETORT_LEVEL_AVX512_BF16]
  where level.rawValue <= retort_kernels_best().rawValue {
    retort_kernels_select(level)
    try body(level)
  }
}
