/// What was spent in the last rolling hour. A pure value: it knows no clock.
package struct SpendingWindow: Sendable {
  struct Entry: Sendable {
    let at: Duration
    let tokens: Int
    let money: Double
  }

  static let length = Duration.seconds(3_600)

  let policy: BudgetPolicy
  private var entries: [Entry] = []
  private var first = 0
  private var tokens = 0
  private var money = 0.0
  /// What a call has cost in the mean of the last hour that had any; nil before the first answer.
  private var mean: (tokens: Int, money: Double)?

  package init(policy: BudgetPolicy) { self.policy = policy }

  package mutating func record(tokens: Int, money: Double, at now: Duration) {
    guard tokens > 0 || money > 0 else {
      // An endpoint may not say what its answers cost.
      mean = mean ?? (0, 0)
      return
    }
    entries.append(Entry(at: now, tokens: tokens, money: money))
    self.tokens += tokens
    self.money += money
    let count = entries.count - first
    mean = (self.tokens / count, self.money / Double(count))
  }

  /// Whether the next request waits for an answer to one in flight: where nothing was spent in the hour these could spend
  /// it all, as far as is known.
  package mutating func waitsForAnswer(at now: Duration, inFlight: Int) -> Bool {
    expire(at: now)
    guard entries.count == first, inFlight > 0 else { return false }
    guard let mean else { return true }
    return policy.tokensPerHour.map { mean.tokens * inFlight >= $0 } ?? false
      || policy.moneyPerHour.map { mean.money * Double(inFlight) >= $0 } ?? false
  }

  /// When the next request may be sent; nil: now.
  ///
  /// Requests in flight count with the mean of the hour's calls.
  package mutating func nextAdmission(at now: Duration, inFlight: Int) -> Duration? {
    expire(at: now)
    let count = entries.count - first
    guard count > 0 else { return nil }
    let reservedTokens = tokens / count * inFlight
    let reservedMoney = money / Double(count) * Double(inFlight)
    var overTokens = policy.tokensPerHour.map { tokens + reservedTokens - $0 } ?? -1
    var overMoney = policy.moneyPerHour.map { money + reservedMoney - $0 } ?? -1
    // A request may start while something is left; walk on to the moment when enough has expired.
    var index = first
    var admission: Duration?
    while overTokens >= 0 || overMoney >= 0, index < entries.count {
      let entry = entries[index]
      admission = entry.at + Self.length
      overTokens -= policy.tokensPerHour == nil ? 0 : entry.tokens
      overMoney -= policy.moneyPerHour == nil ? 0 : entry.money
      index += 1
    }
    return admission
  }

  private mutating func expire(at now: Duration) {
    while first < entries.count, entries[first].at + Self.length <= now {
      tokens -= entries[first].tokens
      money -= entries[first].money
      first += 1
    }
    if first == entries.count { money = 0 }  // no residue of rounding
    if first > 1_024, first * 2 > entries.count {
      entries.removeFirst(first)
      first = 0
    }
  }
}
