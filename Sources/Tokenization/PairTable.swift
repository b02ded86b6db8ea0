/// From a pair of token ids to the rank of their merge and the id that it gives; open addressing, read-only after `init`.
struct PairTable: Sendable {
  /// One merge: two ids and what they give.
  struct Merge: Sendable, Hashable {
    let left: Int32
    let right: Int32
    let result: Int32
  }

  // Two words a slot: the pair (left in the high half), or all ones where the slot is empty; rank and result.
  private let slots: [UInt64]
  private let mask: Int

  /// - Parameter merges: in order of rank, each pair once.
  init(_ merges: [Merge]) {
    var capacity = 16
    while capacity < merges.count * 2 { capacity *= 2 }
    mask = capacity - 1
    var slots = [UInt64](repeating: .max, count: capacity * 2)
    for (rank, merge) in merges.enumerated() {
      let key = Self.key(merge.left, merge.right)
      var slot = Self.hash(key) & mask
      while slots[slot * 2] != .max { slot = (slot + 1) & mask }
      slots[slot * 2] = key
      slots[slot * 2 + 1] = UInt64(rank) << 32 | UInt64(UInt32(bitPattern: merge.result))
    }
    self.slots = slots
  }

  /// A view for many look-ups.
  func withLookup<T>(_ body: (Lookup) -> T) -> T {
    slots.withUnsafeBufferPointer { body(Lookup(slots: $0, mask: mask)) }
  }

  /// Looks pairs up; valid within `withLookup`.
  struct Lookup {
    let slots: UnsafeBufferPointer<UInt64>
    let mask: Int

    /// The rank in the high half and the result in the low one; all ones where the two are not merged.
    @inline(__always)
    func callAsFunction(_ left: Int32, _ right: Int32) -> UInt64 {
      let key = PairTable.key(left, right)
      var slot = PairTable.hash(key) & mask
      while true {
        let found = slots[slot * 2]
        if found == key { return slots[slot * 2 + 1] }
        if found == .max { return .max }
        slot = (slot + 1) & mask
      }
    }
  }

  @inline(__always)
  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  @inline(__always)
  private static func hash(_ key: UInt64) -> Int {
    Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32)
  }
}
