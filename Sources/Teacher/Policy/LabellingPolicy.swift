public import Topics

/// Which requests the teacher is asked about.
///
/// Every request has a coin, a hash of its id: where it falls below the uniform share, the request is labelled whatever the
/// student thinks, so that every estimate of accuracy has a share of the traffic that nothing has chosen. Beyond that a
/// request is labelled when it promises to teach something. Held-out requests teach nothing: for them the coin alone counts.
///
/// The recorded propensity is the probability of the choice given all that came before: 1 where a rule chose, else the
/// uniform share. Estimates weighted by its inverse are unbiased (Horvitz and Thompson 1952).
public struct LabellingPolicy: Sendable, Hashable {
  /// Share of the training requests that is labelled whatever the student thinks, above 0 to 1; default 0.05.
  public var auditShare: Double
  /// Share of the held-out requests (dev and gate) that is labelled, above 0 to 1; default 0.5.
  public var heldOutShare: Double
  /// Both shares while the traffic drifts, where they are lower, above 0 to 1; default 0.25.
  public var driftShare: Double
  /// A calibrated confidence below this is uncertain, 0 to 1; default 0.9.
  public var confidence: Double
  /// From this share of words that stand in no labelled request a request is new, above 0 to 1; default 0.5.
  public var novelty: Double
  /// Most requests of one day (UTC) that the teacher is asked about; 0 is no limit; default 0.
  public var dailyBudget: Int
  /// Mixed into the coins.
  public var salt: String

  /// The share of the requests, of any split and seen before or not, by which the student is watched: as the coin alone chooses
  /// them, they are like the traffic.
  public static let watchedShare = 0.25
  /// The share of a daily budget that is kept for the uniform share.
  static let reserve = 0.2

  /// A policy; the defaults are stated above.
  public init(
    auditShare: Double = 0.05, heldOutShare: Double = 0.5, driftShare: Double = 0.25, confidence: Double = 0.9,
    novelty: Double = 0.5,
    dailyBudget: Int = 0, salt: String = "retort"
  ) {
    self.auditShare = auditShare
    self.heldOutShare = heldOutShare
    self.driftShare = driftShare
    self.confidence = confidence
    self.novelty = novelty
    self.dailyBudget = dailyBudget
    self.salt = salt
  }

  /// How many requests of one day's the partitions that are read here have paid for.
  public struct Spent: Sendable, Hashable {
    /// All of these partitions together, whoever read them.
    public var asked: Int
    /// The partitions that are read here, from 0.
    public var owned: [Int]
    /// All partitions of the topic.
    public var partitions: Int

    /// What is spent; by default of all partitions.
    public init(asked: Int, owned: [Int] = [0], partitions: Int = 1) {
      self.asked = asked
      self.owned = owned
      self.partitions = max(1, partitions)
    }

    /// The part of a budget that falls to these partitions. Parts are whole, and those of all partitions add up to the budget.
    func part(of budget: Int) -> Int { owned.reduce(0) { $0 + part(of: budget, in: $1) } }

    fileprivate func part(of budget: Int, in partition: Int) -> Int {
      budget * (partition + 1) / partitions - budget * partition / partitions
    }
  }

  /// What is known of a request when it is decided on.
  public struct Facts: Sendable, Hashable {
    /// Its split.
    public var split: Split
    /// Its coin, in [0, 1).
    public var coin: Double
    /// The student's calibrated confidence; nil where no release can be asked.
    public var confidence: Double?
    /// The share of its words that stand in no labelled request.
    public var novelty: Double
    /// Whether one of the same words was asked about.
    public var isRepeated: Bool
    /// What of its day's budget is spent.
    public var spent: Spent
    /// Whether the traffic drifts.
    public var isDrifting: Bool

    /// The facts.
    public init(
      split: Split, coin: Double, confidence: Double?, novelty: Double, isRepeated: Bool, spent: Spent,
      isDrifting: Bool = false
    ) {
      self.split = split
      self.coin = coin
      self.confidence = confidence
      self.novelty = novelty
      self.isRepeated = isRepeated
      self.spent = spent
      self.isDrifting = isDrifting
    }
  }

  /// What is done about a request.
  public enum Decision: Sendable, Hashable {
    /// The teacher is asked. `isAudited`: the coin fell for it, whatever else spoke for it.
    case ask(LabelChoice.Reason, propensity: Double, isAudited: Bool)
    /// Nobody is asked; the reason is for the ledger.
    case skip(SkipReason)
  }

  /// Why nobody is asked.
  public enum SkipReason: String, Sendable, Hashable, CaseIterable {
    /// The student is sure, and the request is like others.
    case confident
    /// One of the same words was asked about.
    case nearDuplicate = "near_duplicate"
    /// The day's budget is spent.
    case budget
    /// The same, of the uniform share: what is estimated from that share is of the hours before.
    case auditBudget = "budget_audit"
    /// Held out, and not drawn.
    case heldOut = "held_out"
  }

  /// The coin of a request: a hash of the salt and its id, in [0, 1).
  public func coin(of id: String) -> Double {
    let head = Digest.sha256(Array(salt.utf8) + [0] + Array("audit".utf8) + [0] + Array(id.utf8)).bytes.prefix(8)
    return Double(head.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } >> 11) / Double(UInt64(1) << 53)
  }

  /// The share of requests of a split that is labelled whatever the student thinks.
  public func uniformShare(of split: Split, isDrifting: Bool = false) -> Double {
    max(split == .train ? auditShare : heldOutShare, isDrifting ? driftShare : 0)
  }

  /// Decides on one request.
  public func decision(on facts: Facts) -> Decision {
    let share = uniformShare(of: facts.split, isDrifting: facts.isDrifting)
    let isAudited = facts.coin < share
    let interest = interest(in: facts)
    if let interest, hasBudget(facts.spent, keeping: Self.reserve) {
      // Without a student everything is labelled, which is a uniform share too.
      return .ask(interest, propensity: 1, isAudited: isAudited || interest == .noStudent)
    }
    if isAudited {
      return hasBudget(facts.spent, keeping: 0) ? .ask(.audit, propensity: share, isAudited: true) : .skip(.auditBudget)
    }
    if interest != nil { return .skip(.budget) }
    if facts.split != .train { return .skip(.heldOut) }
    return .skip(facts.isRepeated ? .nearDuplicate : .confident)
  }

  /// From which partition's part of the day's budget a request is taken that is asked about: of those that are read here,
  /// the one with the most left, wherever the request is.
  ///
  /// So the parts are used up evenly, and what is left of each goes with its partition. Were a request taken from the
  /// partition that it is in, a member that has only the others later would spend their parts once more.
  ///
  /// - Parameters:
  ///   - spent: what the partitions that are read here have paid for.
  ///   - asked: the same by partition.
  /// - Returns: `nil` without a budget.
  public func payer(of spent: Spent, asked: (Int) -> Int) -> Int? {
    guard dailyBudget > 0 else { return nil }
    let left = spent.owned.map { (partition: $0, count: spent.part(of: budget, in: $0) - asked($0)) }
    return left.max { $0.count < $1.count }?.partition
  }

  /// More than any day has requests, and small enough to be multiplied.
  private var budget: Int { min(dailyBudget, 1 << 40) }

  /// What a request promises to teach or, without a student, to measure.
  private func interest(in facts: Facts) -> LabelChoice.Reason? {
    if facts.split == .train, facts.isRepeated { return nil }
    guard let confidence = facts.confidence else { return .noStudent }
    guard facts.split == .train else { return nil }
    if confidence < self.confidence { return .uncertain }
    return facts.novelty >= novelty ? .new : nil
  }

  private func hasBudget(_ spent: Spent, keeping reserve: Double) -> Bool {
    let unreserved = Int(Double(budget) * (1 - reserve))
    return dailyBudget == 0 || spent.asked < min(spent.part(of: budget), spent.part(of: unreserved))
  }
}
