/// Merges the bytes of one word into tokens: again and again the pair of lowest rank, the leftmost of equals.
///
/// Short words scan for the lowest rank; long ones keep a heap of pairs over a linked list, O(n log n), so that no input is
/// quadratic. Both give the same tokens.
/// Reference: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units", arXiv 1508.07909, section 3.2.
struct BytePairEncoder {
  /// The longest word, in bytes, that is scanned.
  static let shortWord = 48

  private let lookup: PairTable.Lookup
  private let byteIDs: UnsafeBufferPointer<Int32>
  private var symbols: [Int32] = []
  private var ranks: [UInt64] = []

  /// - Parameter byteIDs: the ids of the 256 bytes.
  init(lookup: PairTable.Lookup, byteIDs: UnsafeBufferPointer<Int32>) {
    self.lookup = lookup
    self.byteIDs = byteIDs
  }

  /// Appends the tokens of `word` to `ids`.
  mutating func encode(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
    switch word.count {
    case 0: return
    case 1: ids.append(byteIDs[Int(word[0])])
    case ...Self.shortWord: encodeShort(word, into: &ids)
    default: encodeLong(word, into: &ids)
    }
  }

  private mutating func encodeShort(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
    symbols.removeAll(keepingCapacity: true)
    ranks.removeAll(keepingCapacity: true)
    for byte in word { symbols.append(byteIDs[Int(byte)]) }
    for index in 1..<symbols.count { ranks.append(lookup(symbols[index - 1], symbols[index])) }
    while true {
      var best = UInt64.max
      var place = 0
      for index in ranks.indices where ranks[index] < best {
        best = ranks[index]
        place = index
      }
      guard best != .max else { break }
      symbols[place] = Int32(truncatingIfNeeded: best)
      symbols.remove(at: place + 1)
      ranks.remove(at: place)
      if place > 0 { ranks[place - 1] = lookup(symbols[place - 1], symbols[place]) }
      if place < ranks.count { ranks[place] = lookup(symbols[place], symbols[place + 1]) }
    }
    ids.append(contentsOf: symbols)
  }

  private func encodeLong(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
    let count = word.count
    var symbols = word.map { byteIDs[Int($0)] }
    var next = (0..<count).map { Int32(truncatingIfNeeded: $0 + 1) }
    var previous = (0..<count).map { Int32(truncatingIfNeeded: $0 - 1) }
    // Rank in the high half, place in the low one: the smallest is the lowest rank, leftmost.
    var entries: [UInt64] = []
    for place in 0..<(count - 1) {
      let rank = lookup(symbols[place], symbols[place + 1])
      if rank != .max { entries.append(rank & ~0xFFFF_FFFF | UInt64(place)) }
    }
    var heap = BinaryHeap(entries, by: <)
    while let entry = heap.removeFirst() {
      let place = Int(entry & 0xFFFF_FFFF)
      let right = Int(next[place])
      guard symbols[place] >= 0, right < count else { continue }
      let merge = lookup(symbols[place], symbols[right])
      guard merge != .max, merge >> 32 == entry >> 32 else { continue }
      symbols[place] = Int32(truncatingIfNeeded: merge)
      symbols[right] = -1
      let after = Int(next[right])
      next[place] = Int32(after)
      if after < count {
        previous[after] = Int32(place)
        let rank = lookup(symbols[place], symbols[after])
        if rank != .max { heap.insert(rank & ~0xFFFF_FFFF | UInt64(place)) }
      }
      if previous[place] >= 0 {
        let before = Int(previous[place])
        let rank = lookup(symbols[before], symbols[place])
        if rank != .max { heap.insert(rank & ~0xFFFF_FFFF | UInt64(before)) }
      }
    }
    for symbol in symbols where symbol >= 0 { ids.append(symbol) }
  }
}
