/// Weights of questions that were drawn with known, unequal probabilities: the inverse of each one's probability.
///
/// Estimates are Hájek's: weighted sums over the sum of weights. Intervals are those of equal weights with Kish's effective
/// number in place of the count, so that with equal weights every figure is the unweighted one, bit for bit.
///
/// Reference: Horvitz and Thompson 1952; Hájek 1971; Kish 1965, "Survey sampling", (Σw)² / Σw².
public struct SampleWeights: Sendable, Hashable {
  private let values: [Double]?
  /// The number of questions.
  public let count: Int
  /// How many questions of equal weight would say as much.
  public let effectiveCount: Double

  /// Weights; finite and above 0, others count as 1.
  public init(_ weights: [Double]) {
    let clean = weights.map { $0.isFinite && $0 > 0 ? $0 : 1 }
    let isEven = clean.allSatisfy { $0 == clean.first }
    values = isEven ? nil : clean
    count = weights.count
    let sum = clean.reduce(0, +)
    effectiveCount = isEven ? Double(weights.count) : sum * sum / clean.reduce(0) { $0 + $1 * $1 }
  }

  /// The weights of questions that were drawn with these probabilities, each above 0 to 1.
  public init(propensities: [Double]) { self.init(propensities.map { 1 / $0 }) }

  /// Equal weights.
  public init(count: Int) {
    values = nil
    self.count = count
    effectiveCount = Double(count)
  }

  /// Whether all weights are the same.
  public var areEqual: Bool { values == nil }

  /// The weighted count of what holds, scaled so that all questions together count ``effectiveCount``.
  func scaled(_ holds: (Int) -> Bool) -> Double {
    guard let values else { return Double((0..<count).count(where: holds)) }
    var part = 0.0
    for index in 0..<count where holds(index) { part += values[index] }
    return part / values.reduce(0, +) * effectiveCount
  }

  /// The share of what holds, with Wilson's 95 % interval; of nothing 0, from 0 to 1.
  public func share(z: Double = Interval.z95, _ holds: (Int) -> Bool) -> Interval {
    .wilson(hits: scaled(holds), trials: effectiveCount, z: z)
  }

  /// The weighted mean of a quantity; 0 of nothing.
  public func mean(_ value: (Int) -> Double) -> Double {
    guard count > 0 else { return 0 }
    guard let values else { return (0..<count).reduce(0) { $0 + value($1) } / Double(count) }
    return (0..<count).reduce(0) { $0 + values[$1] * value($1) } / values.reduce(0, +)
  }

  /// The weights of some of the questions.
  public func only(_ indices: [Int]) -> SampleWeights {
    guard let values else { return SampleWeights(count: indices.count) }
    return SampleWeights(indices.map { values[$0] })
  }
}
