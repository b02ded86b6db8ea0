/// The search for the most probable answer to one request.
///
/// Decoding is greedy at first and finds an answer of some probability p. What begins less probably than that is no better; of the
/// beginnings that are likelier the likeliest is followed next, greedily again, and so on. When none is left, the best answer is
/// the most probable of all (one of more than ½ is at once); where too many are left, it is the best one found. One owner.
///
/// Reference: Stahlberg and Byrne 2019, "On NMT search errors and model errors: cat got your tongue?", arXiv 1908.10090,
/// section 2: the bound on beginnings; they search depth first, and without a limit.
final class AnswerSearch {
  /// A beginning that was passed by: an answer so far, and the token that would have come next.
  struct Branch {
    let sequence: LiveSequence
    let token: Int32
    /// Of the beginning, this token included.
    let logProbability: Double
  }

  private var left: Int
  private var branches: [Branch] = []
  private var best: LiveSequence?
  /// Of the answers that are over, those that branches may begin in.
  private var caches: [KeyValueCache] = []

  /// A search that follows at most `limit` beginnings besides the first.
  init(limit: Int) { left = limit }

  /// What an answer has to exceed.
  var bound: Double { best?.logProbability ?? -.infinity }

  /// Notes the tokens that `choice` passes by at the end of `sequence`.
  ///
  /// - Parameter logits: `count` of them, after its last token.
  func passBy(
    _ allowed: [Int32], choosing choice: TokenChoice, in sequence: LiveSequence, _ logits: UnsafePointer<Float>,
    count: Int
  ) {
    let sum = sequence.logProbability + choice.logProbability - Double(logits[Int(choice.token)])
    for token in allowed where token != choice.token && Int(token) < count {
      let logProbability = sum + Double(logits[Int(token)])
      guard logProbability > bound else { continue }
      keep(Branch(sequence: sequence, token: token, logProbability: logProbability))
    }
  }

  /// Keeps as many branches as can still be followed.
  private func keep(_ branch: Branch) {
    if branches.count < left {
      branches.append(branch)
    } else if let worst = branches.indices.min(by: { branches[$0].logProbability < branches[$1].logProbability }),
      branches[worst].logProbability < branch.logProbability
    {
      branches[worst] = branch
    }
  }

  /// Takes in an answer that is over; returns where to go on, nil at the end.
  func next(after sequence: LiveSequence) -> Branch? {
    caches.append(sequence.cache)
    if best == nil || (sequence.isWhole && sequence.logProbability > bound) { best = sequence }
    // An answer that had to be cut off says that they are long here.
    guard best?.isWhole == true else { return nil }
    branches.removeAll { $0.logProbability <= bound }
    guard let next = branches.indices.max(by: { branches[$0].logProbability < branches[$1].logProbability }) else {
      return nil
    }
    left -= 1
    return branches.remove(at: next)
  }

  /// The caches in which no branch begins any more, so that others need no new ones.
  func freeCaches() -> [KeyValueCache] {
    let free = caches.filter { cache in !branches.contains { $0.sequence.cache === cache } }
    caches.removeAll { cache in free.contains { $0 === cache } }
    return free
  }

  /// The best answer, and the caches that are free again.
  func finish() -> (answer: LiveSequence?, caches: [KeyValueCache]) { (best, caches) }
}
