package import Topics

extension TokenUsage {
  /// Nothing spent.
  package static let none = TokenUsage(promptTokens: 0, completionTokens: 0, calls: 0)

  /// Prompt and completion together.
  package var total: Int { promptTokens.saturatingAdd(completionTokens) }

  /// The sum, saturating.
  package static func + (left: TokenUsage, right: TokenUsage) -> TokenUsage {
    TokenUsage(
      promptTokens: left.promptTokens.saturatingAdd(right.promptTokens),
      completionTokens: left.completionTokens.saturatingAdd(right.completionTokens),
      calls: left.calls.saturatingAdd(right.calls))
  }

  /// Reads the `usage` object of one answer; what is missing or negative counts as zero.
  package init(answer json: JSON?) {
    // A hostile count must neither overflow the budget nor refund it.
    func count(_ key: String) -> Int {
      guard let value = json?[key]?.integerValue, value > 0 else { return 0 }
      return Int(min(value, 1 << 40))
    }
    self.init(promptTokens: count("prompt_tokens"), completionTokens: count("completion_tokens"), calls: 1)
  }
}

extension Int {
  fileprivate func saturatingAdd(_ other: Int) -> Int {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}
