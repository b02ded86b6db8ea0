/// The plain way to encode a word: a heap of merges over a chain of symbols, O(n log n).
///
/// The reference for ``BytePairEncoder``.
struct MergeHeap {
  private let model: BytePairModel

  init(_ model: BytePairModel) { self.model = model }

  /// The tokens of `word`.
  func encode(_ word: some Collection<UInt8>) -> [Int32] {
    let count = word.count
    var symbols = word.map { model.byteIDs[Int($0)] }
    var next = Array(1..<(count + 1))
    var previous = Array(-1..<max(count - 1, 0))
    // Rank in the high half, place in the low one: the smallest is the lowest rank, leftmost.
    var heap = BinaryHeap<UInt64>(by: <)
    func rank(_ left: Int, _ right: Int) -> Int32? { model.ranks[CompactTable.key(symbols[left], symbols[right])] }
    func push(_ place: Int) {
      guard place >= 0, next[place] < count, let rank = rank(place, next[place]) else { return }
      heap.insert(UInt64(rank) << 32 | UInt64(place))
    }
    for place in 0..<count { push(place) }
    while let entry = heap.removeFirst() {
      let place = Int(entry & 0xFFFF_FFFF)
      let right = next[place]
      guard symbols[place] >= 0, right < count, let rank = rank(place, right), UInt64(rank) == entry >> 32 else {
        continue
      }
      symbols[place] = model.merges[Int(rank)].result
      symbols[right] = -1
      next[place] = next[right]
      if next[place] < count { previous[next[place]] = place }
      push(place)
      push(previous[place])
    }
    return symbols.filter { $0 >= 0 }
  }
}
