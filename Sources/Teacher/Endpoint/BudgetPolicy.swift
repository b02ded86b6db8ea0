public import Topics

/// What a rolling hour may cost. A spent budget pauses labelling; nothing is dropped.
///
/// Requests in flight count with the mean of what calls have cost so far, so the budget is overrun by
/// at most what the last calls cost more than the mean. Before the first answer there is one at a time.
public struct BudgetPolicy: Sendable, Hashable {
  /// Tokens, prompt and completion. Nil: unlimited.
  public var tokensPerHour: Int?
  /// Money, in the unit of the prices. Nil: unlimited.
  public var moneyPerHour: Double?

  /// Makes a policy.
  public init(tokensPerHour: Int? = nil, moneyPerHour: Double? = nil) {
    self.tokensPerHour = tokensPerHour
    self.moneyPerHour = moneyPerHour
  }

  func validate() throws(TeacherError) {
    if let tokensPerHour {
      try TeacherConfiguration.require("teacher.budget.tokens_per_hour", 1...Int.max, tokensPerHour)
    }
    if let moneyPerHour {
      try TeacherConfiguration.require("teacher.budget.money_per_hour", 1e-9...1e12, moneyPerHour)
    }
  }
}

/// What tokens cost, in one unit of money for all.
public struct Prices: Sendable, Hashable {
  /// Money for a million prompt tokens, ≥ 0. Default 0.
  public var promptPerMillion = 0.0
  /// Money for a million completion tokens, ≥ 0. Default 0.
  public var completionPerMillion = 0.0

  /// Makes prices.
  public init(promptPerMillion: Double = 0, completionPerMillion: Double = 0) {
    self.promptPerMillion = promptPerMillion
    self.completionPerMillion = completionPerMillion
  }

  /// The money for a usage.
  public func cost(of usage: TokenUsage) -> Double {
    (Double(usage.promptTokens) * promptPerMillion + Double(usage.completionTokens) * completionPerMillion) / 1e6
  }

  func validate() throws(TeacherError) {
    try TeacherConfiguration.require("teacher.prices.prompt_per_million", 0...1e9, promptPerMillion)
    try TeacherConfiguration.require("teacher.prices.completion_per_million", 0...1e9, completionPerMillion)
  }
}
