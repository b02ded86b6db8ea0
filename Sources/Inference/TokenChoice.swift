import Foundation

/// The best of some tokens and how probable it is among them.
struct TokenChoice {
  /// The token, the smallest id among equals; −1 where no logit is a number.
  var token: Int32 = -1
  /// Its logarithmic probability among the tokens looked at.
  var logProbability = 0.0

  /// Chooses among `allowed`, or among all `count` tokens where it is nil.
  init(_ logits: UnsafePointer<Float>, count: Int, allowed: [Int32]?) {
    var best = -Float.infinity
    if let allowed {
      for id in allowed where Int(id) < count {
        let value = logits[Int(id)]
        if value > best || (value == best && (token < 0 || id < token)) { (best, token) = (value, id) }
      }
    } else {
      for id in 0..<count where logits[id] > best { (best, token) = (logits[id], Int32(id)) }
    }
    guard token >= 0, best.isFinite else {
      token = -1
      return
    }
    var sum = 0.0
    if let allowed {
      for id in allowed where Int(id) < count { sum += exp(Double(logits[Int(id)]) - Double(best)) }
    } else {
      for id in 0..<count { sum += exp(Double(logits[id]) - Double(best)) }
    }
    logProbability = -log(sum)
  }

  /// e to the power of `value`.
  static func exponential(_ value: Double) -> Double { exp(value) }
}
