/// Learns merges from words with counts: again and again the most frequent pair of neighbours.
///
/// Ties go to the pair whose bytes come first, so that the result does not depend on the order of anything.
/// Reference: Sennrich et al. 2016, arXiv 1508.07909, algorithm 1; counts are kept up to date instead of recounted.
struct BytePairTrainer {
  private var words: [[Int32]]
  private let counts: [Int]
  private var tokens: [[UInt8]]
  private var pairCounts: [Int64: Int] = [:]
  private var wordsOfPair: [Int64: [Int32]] = [:]
  private var merges: [BytePairModel.Merge] = []

  private struct Candidate {
    let count: Int
    let pair: Int64
    let bytes: [UInt8]
    let leftLength: Int
  }

  /// - Parameter words: bytes with counts, in any order, each once.
  init(_ words: [(bytes: [UInt8], count: Int)]) {
    self.words = words.map { $0.bytes.map(Int32.init) }
    self.counts = words.map(\.count)
    self.tokens = (0..<256).map { [UInt8($0)] }
  }

  /// The merges of pairs that occur at least `minimumCount` times, until they give `limit` tokens, and the tokens by id.
  ///
  /// The first 256 tokens are the bytes. Two merges that give the same bytes ("a" + "bc", "ab" + "c") give one token.
  mutating func learn(limit: Int, minimumCount: Int) -> (merges: [BytePairModel.Merge], tokens: [[UInt8]]) {
    for index in words.indices { count(index, sign: 1) }
    var known: [[UInt8]: Int32] = [:]
    for (id, bytes) in tokens.enumerated() { known[bytes] = Int32(id) }
    var heap = BinaryHeap(pairCounts.map { candidate($0.key, $0.value) }, by: Self.precedes)
    while tokens.count < 256 + limit, let best = heap.removeFirst() {
      let current = pairCounts[best.pair] ?? 0
      guard current >= minimumCount else { continue }
      guard current == best.count else {
        heap.insert(candidate(best.pair, current))
        continue
      }
      let result = known[best.bytes] ?? Int32(tokens.count)
      if result == tokens.count {
        tokens.append(best.bytes)
        known[best.bytes] = result
      }
      merges.append(BytePairModel.Merge(left: Self.left(best.pair), right: Self.right(best.pair), result: result))
      for pair in apply(best.pair, result) {
        if let count = pairCounts[pair], count >= minimumCount { heap.insert(candidate(pair, count)) }
      }
    }
    return (merges, tokens)
  }

  /// Replaces the pair in all words that have it.
  ///
  /// - Returns: the pairs that are new or more frequent.
  private mutating func apply(_ pair: Int64, _ result: Int32) -> Set<Int64> {
    var fresh: Set<Int64> = []
    for word in Set(wordsOfPair.removeValue(forKey: pair) ?? []) {
      let index = Int(word)
      let merged = Self.merge(words[index], Self.left(pair), Self.right(pair), result)
      guard merged.count < words[index].count else { continue }
      count(index, sign: -1)
      words[index] = merged
      count(index, sign: 1)
      for (left, right) in zip(merged, merged.dropFirst()) where left == result || right == result {
        fresh.insert(Self.pair(left, right))
      }
    }
    return fresh
  }

  private static func merge(_ word: [Int32], _ left: Int32, _ right: Int32, _ result: Int32) -> [Int32] {
    var merged: [Int32] = []
    merged.reserveCapacity(word.count)
    var index = 0
    while index < word.count {
      if word[index] == left, index + 1 < word.count, word[index + 1] == right {
        merged.append(result)
        index += 2
      } else {
        merged.append(word[index])
        index += 1
      }
    }
    return merged
  }

  /// Adds or removes the pairs of one word.
  private mutating func count(_ index: Int, sign: Int) {
    let word = words[index]
    for (left, right) in zip(word, word.dropFirst()) {
      let pair = Self.pair(left, right)
      pairCounts[pair, default: 0] += sign * counts[index]
      if sign > 0 { wordsOfPair[pair, default: []].append(Int32(index)) }
    }
  }

  private func candidate(_ pair: Int64, _ count: Int) -> Candidate {
    let left = tokens[Int(Self.left(pair))]
    return Candidate(
      count: count, pair: pair, bytes: left + tokens[Int(Self.right(pair))], leftLength: left.count)
  }

  private static func precedes(_ first: Candidate, _ second: Candidate) -> Bool {
    if first.count != second.count { return first.count > second.count }
    if first.bytes != second.bytes { return first.bytes.lexicographicallyPrecedes(second.bytes) }
    return first.leftLength < second.leftLength
  }

  private static func pair(_ left: Int32, _ right: Int32) -> Int64 { Int64(left) << 32 | Int64(right) }
  private static func left(_ pair: Int64) -> Int32 { Int32(truncatingIfNeeded: pair >> 32) }
  private static func right(_ pair: Int64) -> Int32 { Int32(truncatingIfNeeded: pair) }
}
