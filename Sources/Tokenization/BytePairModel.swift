/// The merges of a vocabulary, prepared for encoding words: immutable, shared by all encoders.
///
/// The encoding of a word is what merging again and again the pair of lowest rank, the leftmost of equals, gives (Sennrich et
/// al. 2016, "Neural Machine Translation of Rare Words with Subword Units", arXiv 1508.07909, section 3.2). Tokens are the
/// encoding of their bytes if and only if each of them, and each two neighbours, are the encoding of theirs: as long as nothing
/// is merged across a boundary, neither side knows of the other. So a word is encoded from left to right by tokens that go
/// together, without merging anything (``BytePairEncoder``).
///
/// Whether two tokens go together follows from how each comes about by itself. Merges happen in order of *time*: a merge's rank,
/// or where one of its sides was made by a merge of a higher rank, that, as it then happens at once. (Vocabularies made from
/// tiktoken's files have such early merges, those that trainers write have not.)
final class BytePairModel: Sendable {
  /// One merge: two ids and what they give.
  struct Merge: Sendable, Hashable {
    let left: Int32
    let right: Int32
    let result: Int32
  }

  /// How a token comes about when its bytes are merged by themselves.
  struct Origin: Sendable {
    /// When: the highest rank of all its merges; -1 for a byte, `never` where the bytes give other tokens.
    var time = never
    /// The rank of its last merge; -1 for a byte.
    var rank: Int32 = -1
    /// What is merged last.
    var left: Int32 = -1
    var right: Int32 = -1

    static let never = Int32.max
  }

  /// The merges in order of rank.
  let merges: [Merge]
  /// The ids of the 256 bytes.
  let byteIDs: [Int32]
  /// The ranks of pairs.
  let ranks: CompactTable
  /// By id.
  let origins: [Origin]
  /// The bytes of each token.
  let lengths: [Int32]
  /// All tokens that their own bytes give.
  let trie: TokenTrie

  /// - Parameters:
  ///   - tokens: the bytes by id, nil for what merges do not give; at most 2^20.
  ///   - merges: in order of rank, each pair once, at most ``CompactTable/maximumCount``.
  ///   - byteIDs: the ids of the 256 bytes.
  /// - Throws: ``TokenizationError`` `tokenizer_unsupported` where the tokens have too many different beginnings.
  init(tokens: [ArraySlice<UInt8>?], merges: [Merge], byteIDs: [Int32]) throws(TokenizationError) {
    self.merges = merges
    self.byteIDs = byteIDs
    var ranks = CompactTable(minimumCapacity: merges.count)
    for (rank, merge) in merges.enumerated() { ranks[CompactTable.key(merge.left, merge.right)] = Int32(rank) }
    self.ranks = ranks
    let lengths = tokens.map { Int32($0?.count ?? 0) }
    self.lengths = lengths
    let origins = Self.origins(lengths, merges, byteIDs, ranks)
    self.origins = origins
    guard let trie = TokenTrie(tokens.indices.map { origins[$0].time == Origin.never ? nil : tokens[$0] }) else {
      throw TokenizationError(
        .unsupported, context: "vocabulary", expected: "tokens with at most 8 million different beginnings",
        found: "more", advice: "use a smaller one")
    }
    self.trie = trie
  }

  /// Whether merging a token's bytes gives the token.
  func gives(_ id: Int32) -> Bool { origins[Int(id)].time != Origin.never }

  /// What an encoder looks up; valid within ``withView(_:)``.
  struct View {
    let trie: TokenTrie.View
    let ranks: CompactTable.View
    let origins: UnsafePointer<Origin>
    let lengths: UnsafePointer<Int32>
    let shorter: UnsafePointer<Int32>
  }

  /// A view for many words.
  func withView<T>(_ body: (View) throws -> T) rethrows -> T {
    try trie.withView { trie in
      try ranks.withView { ranks in
        try origins.withUnsafeBufferPointer { origins in
          try lengths.withUnsafeBufferPointer { lengths in
            try self.trie.shorter.withUnsafeBufferPointer { shorter in
              try body(
                View(
                  trie: trie, ranks: ranks, origins: origins.baseAddress.unsafelyUnwrapped,
                  lengths: lengths.baseAddress.unsafelyUnwrapped, shorter: shorter.baseAddress.unsafelyUnwrapped))
            }
          }
        }
      }
    }
  }

  private static func origins(
    _ lengths: [Int32], _ merges: [Merge], _ byteIDs: [Int32], _ ranks: CompactTable
  ) -> [Origin] {
    var origins = Array(repeating: Origin(), count: lengths.count)
    for id in byteIDs { origins[Int(id)].time = -1 }
    // Short results first, as the sides are shorter than the result.
    let keys = merges.indices.map { UInt64(lengths[Int(merges[$0].result)]) << 32 | UInt64($0) }
    ranks.withView { ranks in
      origins.withUnsafeMutableBufferPointer { origins in
        for key in keys.sorted() {
          let rank = Int(key & 0xFFFF_FFFF)
          let merge = merges[rank]
          let (left, right) = (origins[Int(merge.left)].time, origins[Int(merge.right)].time)
          guard origins[Int(merge.result)].time == Origin.never, left != Origin.never, right != Origin.never,
            isUncrossed(merge.left, merge.right, ranks, UnsafePointer(origins.baseAddress.unsafelyUnwrapped))
          else { continue }
          origins[Int(merge.result)] = Origin(
            time: max(Int32(rank), left, right), rank: Int32(rank), left: merge.left, right: merge.right)
        }
      }
    }
    return origins
  }
}

extension BytePairModel {
  /// Whether nothing is merged across the boundary of two tokens before both have come about.
  ///
  /// Goes back in time: from the two tokens to what they were made of, the later-made side first (of equals the right one, as
  /// of equal merges the leftmost comes first), down to bytes. At each step the two parts at the boundary existed at the same time.
  @inline(__always)
  static func isUncrossed(
    _ left: Int32, _ right: Int32, _ ranks: CompactTable.View, _ origins: UnsafePointer<Origin>
  ) -> Bool {
    var (left, right) = (left, right)
    // The tokens into which the two parts go; none where a part is all of its token.
    var (leftWhole, rightWhole) = (Int32(-1), Int32(-1))
    while true {
      let (leftOrigin, rightOrigin) = (origins[Int(left)], origins[Int(right)])
      if leftOrigin.time > rightOrigin.time {
        leftWhole = left
        left = leftOrigin.right
      } else if rightOrigin.time >= 0 {
        rightWhole = right
        right = rightOrigin.left
      } else {
        return true
      }
      if let rank = ranks[left, right], comesFirst(rank, (left, leftWhole), (right, rightWhole), origins) {
        return false
      }
    }
  }

  /// Whether a merge across the boundary comes before the one that takes one of its sides.
  ///
  /// It does where, from when both sides exist until one is taken, there is a merge of a higher rank, or of the same to its right.
  /// The highest one there is that of the taking merge's time; but if that is no later than the side came about, the taking
  /// merge is an early one and follows at once, unless it still waited for its own other side.
  private static func comesFirst(
    _ rank: Int32, _ left: (part: Int32, whole: Int32), _ right: (part: Int32, whole: Int32),
    _ origins: UnsafePointer<Origin>
  ) -> Bool {
    let (leftTime, rightTime) = (origins[Int(left.part)].time, origins[Int(right.part)].time)
    let leftEnd = left.whole < 0 ? Origin.never : origins[Int(left.whole)].time
    let rightEnd = right.whole < 0 ? Origin.never : origins[Int(right.whole)].time
    if leftEnd <= rightEnd {
      let isEarly = leftEnd <= max(leftTime, rightTime)
      return rank < (isEarly ? origins[Int(left.whole)].rank : leftEnd)
    }
    let whole = origins[Int(right.whole)]
    let isEarly = rightEnd <= rightTime && rightTime >= leftTime && rightTime > origins[Int(whole.right)].time
    return rank <= (isEarly ? whole.rank : rightEnd)
  }
}
