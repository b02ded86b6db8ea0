/// From 40-bit keys to 24-bit values; open addressing, a word a slot, so that large tables stay near the processor; before it a
/// filter of single bits, in which most keys that are not there are told from a still nearer place.
struct CompactTable: Sendable {
  /// The most entries, as values have 24 bits and the greatest is kept for empty slots.
  static let maximumCount = 1 << 24 - 1

  // The key in the high 40 bits and its value in the low 24; all ones where the slot is empty.
  private var slots: [UInt64]
  private var shift: UInt64
  // A bit for each of eight places a slot, set where a key has that place.
  private var filter: [UInt64]
  private var count = 0

  /// An empty table with room for `count` entries.
  init(minimumCapacity count: Int) {
    var bits: UInt64 = 4
    while 1 << bits < count + count / 2 { bits += 1 }
    shift = 64 - bits
    slots = Array(repeating: .max, count: 1 << bits)
    filter = Array(repeating: 0, count: 1 << (bits - 3))
  }

  /// The value of a key; setting one replaces the former, and nothing is ever removed.
  subscript(key: UInt64) -> Int32? {
    get { withView { $0[key] } }
    set {
      guard let newValue else { return }
      if (count + 1) * 3 > slots.count * 2 { grow() }
      let slot = slot(of: key)
      if slots[slot] == .max { count += 1 }
      slots[slot] = key << 24 | UInt64(newValue)
      let place = Self.hash(key, shift - 3)
      filter[place >> 6] |= 1 << UInt64(place & 63)
    }
  }

  private func slot(of key: UInt64) -> Int {
    var slot = Self.hash(key, shift)
    while slots[slot] != .max, slots[slot] >> 24 != key { slot = (slot + 1) & (slots.count - 1) }
    return slot
  }

  private mutating func grow() {
    var larger = CompactTable(minimumCapacity: slots.count)
    for entry in slots where entry != .max { larger[entry >> 24] = Int32(entry & 0xFF_FFFF) }
    self = larger
  }

  /// A view for many look-ups.
  func withView<T>(_ body: (View) throws -> T) rethrows -> T {
    try slots.withUnsafeBufferPointer { slots in
      try filter.withUnsafeBufferPointer { try body(View(slots: slots, filter: $0, shift: shift)) }
    }
  }

  /// Looks keys up; valid within `withView`.
  struct View {
    private let slots: UnsafePointer<UInt64>
    private let filter: UnsafePointer<UInt64>
    private let mask: Int
    private let shift: UInt64

    fileprivate init(slots: UnsafeBufferPointer<UInt64>, filter: UnsafeBufferPointer<UInt64>, shift: UInt64) {
      self.slots = slots.baseAddress.unsafelyUnwrapped  // A table has 16 slots at least.
      self.filter = filter.baseAddress.unsafelyUnwrapped
      self.mask = slots.count - 1
      self.shift = shift
    }

    @inline(__always)
    subscript(key: UInt64) -> Int32? {
      let place = CompactTable.hash(key, shift &- 3)
      guard filter[place &>> 6] & 1 &<< UInt64(place & 63) != 0 else { return nil }
      var slot = place &>> 3
      while true {
        let entry = slots[slot]
        if entry >> 24 == key { return Int32(truncatingIfNeeded: entry & 0xFF_FFFF) }
        if entry == .max { return nil }
        slot = (slot &+ 1) & mask
      }
    }

    /// The value of a pair of numbers of 20 bits.
    @inline(__always)
    subscript(left: Int32, right: Int32) -> Int32? { self[CompactTable.key(left, right)] }
  }

  /// A pair of numbers of 20 bits as one key.
  @inline(__always)
  static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 20 | UInt64(UInt32(bitPattern: right))
  }

  @inline(__always)
  private static func hash(_ key: UInt64, _ shift: UInt64) -> Int {
    Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) &>> shift)
  }
}
