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

  package init(policy: BudgetPolicy) { self.policy = policy }

  package mutating func record(tokens: Int, money: Double, at now: Duration) {
    guard tokens > 0 || money > 0 else { return }
    entries.append(Entry(at: now, tokens: tokens, money: money))
    self.tokens += tokens
    self.money += money
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
