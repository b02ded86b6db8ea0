import Teacher
import Testing
import Topics

@Suite("The labelling policy") struct PolicyTests {
  private static let policy = LabellingPolicy(auditShare: 0.1, heldOutShare: 0.4, confidence: 0.8, novelty: 0.5)

  private static func facts(
    _ split: Split = .train, coin: Double = 0.99, confidence: Double? = 0.95, novelty: Double = 0,
    repeated: Bool = false,
    asked: Int = 0
  ) -> LabellingPolicy.Facts {
    .init(
      split: split, coin: coin, confidence: confidence, novelty: novelty, isRepeated: repeated,
      spent: .init(asked: asked))
  }

  @Test(
    "What is uncertain or new is labelled with certainty, a uniform share with its own probability, the rest is skipped"
  )
  func rules() {
    let policy = Self.policy
    #expect(policy.decision(on: Self.facts()) == .skip(.confident))
    #expect(
      policy.decision(on: Self.facts(confidence: 0.79)) == .ask(.uncertain, propensity: 1, isAudited: false))
    #expect(policy.decision(on: Self.facts(novelty: 0.5)) == .ask(.new, propensity: 1, isAudited: false))
    #expect(policy.decision(on: Self.facts(coin: 0.09)) == .ask(.audit, propensity: 0.1, isAudited: true))
    #expect(policy.decision(on: Self.facts(coin: 0.1)) == .skip(.confident))
    // The coin fell for it and a rule chose it: it is part of the uniform share, and was certain to be labelled.
    #expect(
      policy.decision(on: Self.facts(coin: 0.05, confidence: 0.2)) == .ask(.uncertain, propensity: 1, isAudited: true))
  }

  @Test("Near-duplicates are labelled once, but for the uniform share")
  func nearDuplicates() {
    #expect(Self.policy.decision(on: Self.facts(confidence: 0.1, repeated: true)) == .skip(.nearDuplicate))
    #expect(Self.policy.decision(on: Self.facts(confidence: nil, repeated: true)) == .skip(.nearDuplicate))
    #expect(
      Self.policy.decision(on: Self.facts(coin: 0, repeated: true)) == .ask(.audit, propensity: 0.1, isAudited: true))
  }

  @Test("Without a student everything is labelled; held-out requests by the coin alone once there is one")
  func heldOut() {
    for split in Split.allCases {
      #expect(
        Self.policy.decision(on: Self.facts(split, confidence: nil)) == .ask(.noStudent, propensity: 1, isAudited: true)
      )
    }
    #expect(Self.policy.decision(on: Self.facts(.gate, confidence: 0.1, novelty: 1)) == .skip(.heldOut))
    #expect(
      Self.policy.decision(on: Self.facts(.gate, coin: 0.39, confidence: 0.99))
        == .ask(.audit, propensity: 0.4, isAudited: true))
  }

  @Test("A day's budget ends the labelling; the uniform share has its last fifth")
  func budget() {
    var policy = Self.policy
    policy.dailyBudget = 100
    #expect(
      policy.decision(on: Self.facts(confidence: 0, asked: 79)) == .ask(.uncertain, propensity: 1, isAudited: false))
    #expect(policy.decision(on: Self.facts(confidence: 0, asked: 80)) == .skip(.budget))
    // Its interest cannot be paid any more, so the coin decided: the propensity is the share.
    #expect(
      policy.decision(on: Self.facts(coin: 0, confidence: 0, asked: 80))
        == .ask(.audit, propensity: 0.1, isAudited: true))
    #expect(policy.decision(on: Self.facts(coin: 0, asked: 99)) == .ask(.audit, propensity: 0.1, isAudited: true))
    #expect(policy.decision(on: Self.facts(coin: 0, asked: 100)) == .skip(.auditBudget))
    #expect(policy.decision(on: Self.facts(asked: 100)) == .skip(.confident))
  }

  @Test("However many partitions there are, their parts of a budget add up to it", arguments: [1, 49, 98, 103, 1_000])
  func parts(partitions: Int) {
    for budget in [1, 7, 100, 1_000_003] {
      var policy = Self.policy
      policy.dailyBudget = budget
      let asked = (0..<partitions).reduce(0) { sum, partition in
        var facts = Self.facts(coin: 0)
        // How often one more is asked about is how large the part is.
        var (low, high) = (0, budget + 1)
        while high - low > 1 {
          let middle = (low + high) / 2
          facts.spent = .init(asked: middle - 1, owned: [partition], partitions: partitions)
          if case .ask = policy.decision(on: facts) { low = middle } else { high = middle }
        }
        return sum + low
      }
      #expect(asked == budget)
    }
  }

  @Test("Coins are uniform, depend on the id and the salt alone, and differ from the split")
  func coins() {
    let policy = Self.policy
    let coins = (0..<4_000).map { policy.coin(of: "request-\($0)") }
    #expect(coins.allSatisfy { (0..<1).contains($0) })
    // Four standard errors of a share of 0.1.
    #expect(abs(Double(coins.count { $0 < 0.1 }) / 4_000 - 0.1) < 0.019)
    #expect(policy.coin(of: "request-1") == coins[1])
    var salted = policy
    salted.salt = "other"
    #expect(salted.coin(of: "request-1") != coins[1])
  }

  @Test("Inverse propensities count the traffic, whatever mixture of rules chose")
  func horvitzThompson() {
    let policy = Self.policy
    var estimate = 0.0
    for index in 0..<20_000 {
      let coin = policy.coin(of: "r\(index)")
      let facts = Self.facts(coin: coin, confidence: index % 5 == 0 ? 0.3 : 0.95)
      if case .ask(_, let propensity, _) = policy.decision(on: facts) { estimate += 1 / propensity }
    }
    // 4,000 with certainty; 16,000 by one in ten, each for ten: the standard error is √(16,000 · 0.9 / 0.1) = 379.
    #expect(abs(estimate - 20_000) < 1_518)
  }
}
