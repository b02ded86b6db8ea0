/// Numbers as people read them.
enum Figures {
  /// `0.934` is `93.4 %`.
  static func percent(_ share: Double) -> String { "\(fixed(share * 100, 1)) %" }

  /// Three digits that count.
  static func short(_ value: Double) -> String {
    let size = abs(value)
    return fixed(value, size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3)
  }

  /// `2_500_000` is `2.5 MB`.
  static func bytes(_ count: Int) -> String {
    switch count {
    case ..<1_000: "\(count) B"
    case ..<1_000_000: "\(fixed(Double(count) / 1e3, 1)) kB"
    case ..<1_000_000_000: "\(fixed(Double(count) / 1e6, 2)) MB"
    default: "\(fixed(Double(count) / 1e9, 2)) GB"
    }
  }

  /// A number with so many decimals.
  static func fixed(
    _ value: Double, _ decimals: Int, _ rounding: FloatingPointRoundingRule = .toNearestOrAwayFromZero
  ) -> String {
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    // What is no number, or has more digits than a whole number holds, as Swift prints it.
    guard abs(value) * scale < 9e18 else { return "\(value)" }
    let whole = Int64((abs(value) * scale).rounded(rounding))
    let sign = value < 0 && whole > 0 ? "-" : ""
    guard decimals > 0 else { return "\(sign)\(whole)" }
    let digits = String(whole)
    let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
    return sign + padded.dropLast(decimals) + "." + padded.suffix(decimals)
  }
}
