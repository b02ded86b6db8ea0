import CKernels

/// One of some tokens, the best or one that was drawn, and how probable it is among them.
struct TokenChoice {
  /// The token, the smallest id among equals; −1 where no logit is a number.
  var token: Int32 = -1
  /// Its logarithmic probability among the tokens looked at.
  var logProbability = 0.0

  /// Chooses among `allowed`, or among all `count` tokens where it is nil.
  ///
  /// Here as in drawing, sums run in the order of the tokens and exponentials are our own: the same on every machine.
  init(_ logits: UnsafePointer<Float>, count: Int, allowed: [Int32]?) {
    token = Self.best(logits, count: count, allowed: allowed)
    guard token >= 0 else { return }
    let best = Double(logits[Int(token)])
    var sum = 0.0
    if let allowed {
      for id in allowed where Int(id) < count { sum += retort_exp(Double(logits[Int(id)]) - best) }
    } else {
      for id in 0..<count { sum += retort_exp(Double(logits[id]) - best) }
    }
    logProbability = -retort_log(sum)
  }

  private static func best(_ logits: UnsafePointer<Float>, count: Int, allowed: [Int32]?) -> Int32 {
    var (best, token) = (-Float.infinity, Int32(-1))
    if let allowed {
      for id in allowed where Int(id) < count {
        let value = logits[Int(id)]
        if value > best || (value == best && (token < 0 || id < token)) { (best, token) = (value, id) }
      }
    } else {
      for id in 0..<count where logits[id] > best { (best, token) = (logits[id], Int32(id)) }
    }
    return best.isFinite ? token : -1
  }

  /// Draws among `allowed`, or among all `count` tokens where it is nil, with probabilities ∝ e^(logit / temperature).
  ///
  /// - Parameter point: 0..<1, where the draw falls in the cumulated probabilities.
  init(_ logits: UnsafePointer<Float>, count: Int, allowed: [Int32]?, temperature: Double, point: Double) {
    token = Self.best(logits, count: count, allowed: allowed)
    guard token >= 0 else { return }
    let best = Double(logits[Int(token)])
    var (sum, plain) = (0.0, 0.0)
    func visit(_ body: (Int32, Double) -> Bool) {
      if let allowed {
        for id in allowed where Int(id) < count { if !body(id, Double(logits[Int(id)]) - best) { return } }
      } else {
        for id in 0..<Int32(count) { if !body(id, Double(logits[Int(id)]) - best) { return } }
      }
    }
    visit { _, gap in
      sum += retort_exp(gap / temperature)
      plain += retort_exp(gap)
      return true
    }
    let limit = point * sum
    var (passed, gap) = (0.0, 0.0)
    visit { id, difference in
      let share = retort_exp(difference / temperature)
      if share > 0 { (token, gap) = (id, difference) }
      passed += share
      return passed <= limit
    }
    logProbability = gap - retort_log(plain)
  }
}
