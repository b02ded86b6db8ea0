/// The answers to one request that are being written, and the search for the most probable one.
///
/// Decoding is greedy at first and finds an answer of some probability p. What begins less probably than that is no better; of the
/// beginnings that are likelier the likeliest has its turn next, is followed greedily again, and so on. When none is left, the best
/// answer is the most probable of all (one of more than ½ is at once); where too many are left, it is the best one found.
///
/// Beginnings have their turns one after the other, but are followed ahead of them where there are rows to spare: one that is likelier
/// than the answer before it can still become has its turn next but for a better answer. So several answers are written together,
/// for hardly more than the price of one where reading the weights takes the time, and the turns, and so the answer, are the same
/// as without.
///
/// Reference: Stahlberg and Byrne 2019, "On NMT search errors and model errors: cat got your tongue?", arXiv 1908.10090,
/// section 2: the bound on beginnings; they search depth first, and without a limit.
struct AnswerSearch {
  /// A beginning that was passed by: an answer so far, and the token that would have come next.
  struct Beginning {
    /// Its name in this search, 1 or more.
    let id: Int
    let sequence: LiveSequence
    let token: Int32
    /// Of the beginning, this token included.
    let logProbability: Double
    /// Whether it is being followed, or has been.
    var isFollowed = false
    /// The answer that it has led to.
    var end: LiveSequence?

    /// Whether its turn comes before that of `other`: it is likelier or, among equals, its tokens are in order.
    func precedes(_ other: Beginning) -> Bool {
      if logProbability != other.logProbability { return logProbability > other.logProbability }
      return (sequence.generated + [token]).lexicographicallyPrecedes(other.sequence.generated + [other.token])
    }
  }

  /// The answers that are being written.
  var sequences: [LiveSequence]
  /// The best answer found.
  private(set) var best: LiveSequence?
  /// Whether ``best`` is the answer.
  private(set) var isOver = false
  /// Caches of answers that are written no more; beginnings may lie in them.
  private(set) var retired: [KeyValueCache] = []

  /// Beginnings that may still have their turn.
  private var left: Int
  /// Those that wait for their turn, the first before the others, no more than there are turns left.
  private var beginnings: [Beginning] = []
  /// The beginning whose turn it is, as long as it is not followed.
  private var upcoming: Beginning?
  /// The name of the beginning whose turn it is; 0 for the greedy answer.
  private var turn = 0
  private var lastID = 0

  /// A search that begins with `first` and gives at most `limit` other beginnings a turn; 0: `first` is the answer.
  init(_ first: LiveSequence, limit: Int) {
    sequences = [first]
    left = limit
  }

  /// What an answer has to exceed.
  private var bound: Double { best?.logProbability ?? -.infinity }

  // MARK: While answers are written

  /// Notes the tokens that `choice` passes by at the end of the answer at `place`.
  ///
  /// - Parameter logits: `count` of them, after its last token.
  mutating func passBy(
    _ allowed: [Int32], choosing choice: TokenChoice, at place: Int, _ logits: UnsafePointer<Float>, count: Int
  ) {
    guard left > 0 else { return }
    let sequence = sequences[place]
    let sum = sequence.logProbability + choice.logProbability - Double(logits[Int(choice.token)])
    for token in allowed where token != choice.token && Int(token) < count {
      let logProbability = sum + Double(logits[Int(token)])
      guard logProbability > bound else { continue }
      if beginnings.count == left, let last = beginnings.last, logProbability < last.logProbability { continue }
      lastID += 1
      keep(Beginning(id: lastID, sequence: sequence, token: token, logProbability: logProbability))
    }
  }

  /// Keeps as many beginnings as can still have a turn. What an answer passes by is less likely than its own beginning, so that no
  /// beginning goes before those that lie in it.
  private mutating func keep(_ beginning: Beginning) {
    let place = beginnings.lastIndex { $0.precedes(beginning) }.map { $0 + 1 } ?? 0
    beginnings.insert(beginning, at: place)
    if beginnings.count > left { beginnings.removeLast() }
  }

  /// Takes in the answers that are over, turn by turn, and drops those that cannot be the best any more.
  mutating func settle() {
    var turned: LiveSequence?
    let bound = bound
    for sequence in sequences where sequence.isOver || sequence.logProbability <= bound {
      retired.append(sequence.cache)
      if sequence.id == turn {
        turned = sequence
      } else if let place = beginnings.firstIndex(where: { $0.id == sequence.id }) {
        beginnings[place].end = sequence
      }
    }
    sequences.removeAll { $0.isOver || $0.logProbability <= bound }
    while let sequence = turned { turned = decide(sequence) }
    let useless = sequences.filter { sequence in
      sequence.id != turn && !beginnings.contains { $0.id == sequence.id }
    }
    retired += useless.map(\.cache)
    sequences.removeAll { sequence in useless.contains { $0.id == sequence.id } }
  }

  /// Takes in the answer whose turn it is; returns the next one where it is there already.
  private mutating func decide(_ sequence: LiveSequence) -> LiveSequence? {
    if best == nil || (sequence.isWhole && sequence.logProbability > bound) { best = sequence }
    // An answer that had to be cut off says that they are long here.
    if best?.isWhole != true { beginnings.removeAll() }
    while let last = beginnings.last, last.logProbability <= bound { beginnings.removeLast() }
    guard !beginnings.isEmpty else {
      isOver = true
      return nil
    }
    let next = beginnings.removeFirst()
    left -= 1
    beginnings.removeLast(max(0, beginnings.count - left))
    turn = next.id
    upcoming = next.isFollowed ? nil : next
    return next.end
  }

  /// What to follow from now on: the beginning whose turn it is, and in up to `spare` further rows those that are likelier than
  /// its answer can still become.
  mutating func next(spare: Int) -> [Beginning] {
    if let next = upcoming {
      upcoming = nil
      return [next]
    }
    guard let reached = sequences.first(where: { $0.id == turn })?.logProbability else { return [] }
    var next: [Beginning] = []
    for place in beginnings.indices where !beginnings[place].isFollowed {
      guard next.count < spare, beginnings[place].logProbability > reached else { break }
      beginnings[place].isFollowed = true
      next.append(beginnings[place])
    }
    return next
  }

  /// Gives back the caches in which nothing begins any more that will be followed, so that others need no new ones.
  mutating func freeCaches() -> [KeyValueCache] {
    guard !retired.isEmpty else { return [] }
    let needed =
      beginnings.filter { !$0.isFollowed }.map(\.sequence.cache) + (upcoming.map { [$0.sequence.cache] } ?? [])
    let free = retired.filter { cache in !needed.contains { $0 === cache } }
    retired.removeAll { cache in !needed.contains { $0 === cache } }
    return free
  }
}
