/// Encodes words with a ``BytePairModel``: the longest token that goes together with the one before; where none does, back one
/// token, to the next shorter one.
///
/// There is one way only to encode a word's beginning, so that no place is come upon twice in vain: linear time, for any word.
/// Reference: van Antwerpen and Neubeck 2024, "So many tokens, so little time: Introducing a faster, more flexible byte-pair
/// tokenizer" (GitHub blog), backtracking encoder; here for merges in any order, not for tiktoken's ranks of tokens alone.
struct BytePairEncoder: ~Copyable {
  private let view: BytePairModel.View
  /// A bit for each place in the word from which it does not go on.
  private var deadEnds: UnsafeMutablePointer<UInt64>
  private var capacity = 16

  /// An encoder that is valid as long as the view.
  init(_ view: BytePairModel.View) {
    self.view = view
    deadEnds = .allocate(capacity: capacity)
  }

  deinit { deadEnds.deallocate() }

  /// Writes the tokens of `word` to `ids`, which has room for one a byte.
  ///
  /// - Returns: how many.
  mutating func encode(_ word: UnsafeBufferPointer<UInt8>, into ids: UnsafeMutablePointer<Int32>) -> Int {
    guard word.count > 0 else { return 0 }
    let first = view.trie.longest(word, from: 0)
    if first.length == word.count {
      ids[0] = first.token
      return 1
    }
    return encode(word, from: first, into: ids)
  }

  private mutating func encode(
    _ word: UnsafeBufferPointer<UInt8>, from first: (token: Int32, length: Int), into ids: UnsafeMutablePointer<Int32>
  ) -> Int {
    clear(word.count)
    let (trie, lengths, shorter) = (view.trie, view.lengths, view.shorter)
    var (count, start) = (0, 0)
    var (token, length) = first
    while true {
      let end = start &+ length
      if !isDeadEnd(end), count == 0 || isNeighbour(token, of: ids[count &- 1]) {
        ids[count] = token
        count &+= 1
        start = end
        if start == word.count { return count }
        (token, length) = trie.longest(word, from: start)
        continue
      }
      if shorter[Int(token)] >= 0 {
        token = shorter[Int(token)]
        length = Int(lengths[Int(token)])
      } else {
        // Not so for the first token of a word, as every word has an encoding.
        deadEnds[start >> 6] |= 1 << UInt64(start & 63)
        count &-= 1
        token = ids[count]
        length = Int(lengths[Int(token)])
        start &-= length
      }
    }
  }

  @inline(__always)
  private func isNeighbour(_ token: Int32, of before: Int32) -> Bool {
    view.ranks[before, token] == nil && BytePairModel.isUncrossed(before, token, view.ranks, view.origins)
  }

  @inline(__always)
  private func isDeadEnd(_ place: Int) -> Bool { deadEnds[place >> 6] & 1 << UInt64(place & 63) != 0 }

  private mutating func clear(_ count: Int) {
    let words = count >> 6 + 1
    if words > capacity {
      deadEnds.deallocate()
      capacity = words + words / 2
      deadEnds = .allocate(capacity: capacity)
    }
    deadEnds.update(repeating: 0, count: words)
  }
}
