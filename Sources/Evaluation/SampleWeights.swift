/// Weights of questions that were drawn with known, unequal probabilities: the inverse of each one's probability.
///
/// Estimates are Hájek's: weighted sums over the sum of weights. Intervals are those of equal weights with Kish's effective
/// number in place of the count, so that with equal weights of different questions every figure is the unweighted one, bit
/// for bit. A question that was asked again is answered the same again and says nothing new: it adds to the weight of the first.
///
/// Reference: Horvitz and Thompson 1952; Hájek 1971; Kish 1965, "Survey sampling", (Σw)² / Σw².
public struct SampleWeights: Sendable, Hashable {
  private let values: [Double]?
  private let clusters: [String]?
  /// The number of questions.
  public let count: Int
  /// The number of different questions.
  public let distinctCount: Int
  /// How many different questions of equal weight would say as much.
  public let effectiveCount: Double

  /// Weights; finite and above 0, others count as 1.
  ///
  /// - Parameter clusters: what is the same of questions that were asked more than once; nil where all are different.
  public init(_ weights: [Double], clusters: [String]? = nil) {
    precondition(clusters.map { $0.count == weights.count } ?? true, "one cluster a question")
    let clean = weights.map { $0.isFinite && $0 > 0 ? $0 : 1 }
    values = clean.allSatisfy { $0 == clean.first } ? nil : clean
    count = weights.count
    var totals = clean
    if let clusters {
      var places: [String: Int] = [:]
      totals = []
      for (weight, cluster) in zip(clean, clusters) {
        let place = places[cluster, default: totals.count]
        if place == totals.count {
          places[cluster] = place
          totals.append(weight)
        } else {
          totals[place] += weight
        }
      }
    }
    self.clusters = totals.count < count ? clusters : nil
    distinctCount = totals.count
    let sum = totals.reduce(0, +)
    effectiveCount =
      totals.allSatisfy { $0 == totals.first } ? Double(totals.count) : sum * sum / totals.reduce(0) { $0 + $1 * $1 }
  }

  /// The weights of questions that were drawn with these probabilities, each above 0 to 1.
  public init(propensities: [Double]) { self.init(propensities.map { 1 / $0 }) }

  /// Equal weights.
  public init(count: Int) {
    (values, clusters) = (nil, nil)
    (self.count, distinctCount, effectiveCount) = (count, count, Double(count))
  }

  /// Whether all weights are the same.
  public var areEqual: Bool { values == nil }

  /// The weighted count of what holds, scaled so that all questions together count ``effectiveCount``.
  func scaled(_ holds: (Int) -> Bool) -> Double {
    guard let values else {
      let hits = Double((0..<count).count(where: holds))
      return clusters == nil ? hits : hits / Double(count) * effectiveCount
    }
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
    guard values != nil || clusters != nil else { return SampleWeights(count: indices.count) }
    return SampleWeights(
      indices.map { values?[$0] ?? 1 }, clusters: clusters.map { clusters in indices.map { clusters[$0] } })
  }
}
