import CKernels

/// How rotary frequencies are slowed down for contexts longer than those of pre-training.
public enum RopeScaling: Sendable, Hashable {
  /// Llama 3: wavelengths above `originalPositions / lowFrequencyFactor` are `factor` times as long, those below
  /// `originalPositions / highFrequencyFactor` stay, and those between are interpolated.
  ///
  /// Reference: Llama Team 2024, "The Llama 3 Herd of Models", arXiv 2407.21783, section 3.2; the formula is Hugging Face's `llama3`.
  case llama3(factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalPositions: Int)
  /// The divisor of each frequency, as a GGUF file holds it; as many as half a head has channels.
  case divisors([Float])

  /// The divisor of each of the `headSize / 2` frequencies.
  public func divisors(headSize: Int, theta: Double) -> [Double] {
    switch self {
    case .divisors(let values): return values.map(Double.init)
    case .llama3(let factor, let low, let high, let original):
      return (0..<headSize / 2).map { pair in
        let frequency = retort_exp(-2 * Double(pair) / Double(headSize) * retort_log(theta))
        let turns = Double(original) * frequency / (2 * Double.pi)
        if turns > high { return 1 }
        if turns < low { return factor }
        let share = (turns - low) / (high - low)
        return 1 / ((1 - share) / factor + share)
      }
    }
  }

  /// Why this scaling cannot be used with such heads; nil where it can.
  func problem(headSize: Int) -> String? {
    switch self {
    case .divisors(let values):
      let holds = values.count == headSize / 2 && values.allSatisfy { $0.isFinite && $0 > 0 }
      return holds ? nil : "\(values.count) divisors, or some that are not positive numbers"
    case .llama3(let factor, let low, let high, let original):
      let holds =
        factor.isFinite && factor >= 1 && low.isFinite && low > 0 && high.isFinite && high > low
        && (1...(1 << 24)).contains(original)
      return holds ? nil : "factor \(factor), frequency factors \(low) and \(high), \(original) positions"
    }
  }
}
