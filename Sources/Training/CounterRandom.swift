/// Random numbers that are a function of their coordinates: no state, so nothing to save and no order to keep.
///
/// Reference: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (the idea); the mixing function is
/// SplitMix64's finalizer (Steele, Lea and Flood 2014), applied once per coordinate.
package struct CounterRandom: Sendable {
  /// What the numbers are for; uses of one domain never meet those of another.
  package enum Domain: UInt64, Sendable {
    case replay = 1
    case swap
    case branchOrder
    case branchSwap
    case dropout
    case branchDropout
    case initialization
    case recovery
    case recoverySwap
    case balance
    case rejectionOrder
    case rejectionSwap
    case rejectionSampling
    case rejectionMix
    case rejectionReplay
    case rewardOrder
    case rewardSwap
    case rewardSampling
    case inventedCalls
    case inventedRows
    case sharedRows
    case imitationOrder
    case imitationSwap
    case imitationSampling
  }

  private let key: UInt64

  package init(seed: UInt64, _ domain: Domain) {
    key = Self.mix(seed &+ domain.rawValue &* 0x9E37_79B9_7F4A_7C15)
  }

  /// 64 random bits at these coordinates.
  package func bits(_ a: UInt64, _ b: UInt64 = 0, _ c: UInt64 = 0) -> UInt64 {
    var state = Self.mix(key ^ a &+ 0x9E37_79B9_7F4A_7C15)
    state = Self.mix(state ^ b &+ 0xD1B5_4A32_D192_ED03)
    return Self.mix(state ^ c &+ 0x8CB9_2BA7_2F3D_8DD7)
  }

  /// A number in 0..<1 at these coordinates.
  package func unit(_ a: UInt64, _ b: UInt64 = 0, _ c: UInt64 = 0) -> Double {
    Double(bits(a, b, c) >> 11) * 0x1p-53
  }

  /// A whole number in 0..<count (0 when there is nothing) at these coordinates; the bias is below count / 2^64.
  package func index(below count: Int, _ a: UInt64, _ b: UInt64 = 0, _ c: UInt64 = 0) -> Int {
    Int(bits(a, b, c).multipliedFullWidth(by: UInt64(max(1, count))).high)
  }

  /// A permutation of 0..<count (Fisher and Yates) named by `a`.
  package func permutation(of count: Int, _ a: UInt64) -> [Int] {
    var order = Array(0..<max(0, count))
    for i in stride(from: order.count - 1, to: 0, by: -1) {
      order.swapAt(i, index(below: i + 1, a, UInt64(i)))
    }
    return order
  }

  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
