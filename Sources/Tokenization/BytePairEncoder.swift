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
        // What repeats itself mostly does so in tokens too: otherwise all longer ones would be tried in vain again and again.
        if isRepeated(word, start, length), !isDeadEnd(start &+ length), isNeighbour(token, of: token) { continue }
        (token, length) = trie.longest(word, from: start)
      } else if shorter[Int(token)] >= 0 {
        token = shorter[Int(token)]
        length = Int(lengths[Int(token)])
      } else {
        // Not so for the first token of a word, as every word has an encoding. What was tried at the place before leads to dead
        // ends, which are known, so that all is tried again.
        deadEnds[start >> 6] |= 1 << UInt64(start & 63)
        count &-= 1
        start &-= Int(lengths[Int(ids[count])])
        (token, length) = trie.longest(word, from: start)
      }
    }
  }

  /// Whether the bytes before a place stand there once more.
  @inline(__always)
  private func isRepeated(_ word: UnsafeBufferPointer<UInt8>, _ start: Int, _ length: Int) -> Bool {
    guard start &+ length <= word.count else { return false }
    for index in start..<(start &+ length) where word[index] != word[index &- length] { return false }
    return true
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
