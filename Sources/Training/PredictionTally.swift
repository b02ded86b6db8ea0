public import Evaluation
public import Topics

/// Predictions made before learning: each sample is first a question, then a lesson. Of the uniform share alone, so that they need
/// no weights.
///
/// Reference: Dawid 1984, "Statistical theory: the prequential approach".
public struct PredictionTally: Sendable, Hashable {
  /// The number of predictions.
  public private(set) var count: Int
  /// How many were exact.
  public private(set) var exact: Int
  /// How many named the right function.
  public private(set) var functions: Int

  /// A score of these counts; of nothing by default.
  public init(count: Int = 0, exact: Int = 0, functions: Int = 0) {
    self.count = count
    self.exact = exact
    self.functions = functions
  }

  /// The score of these comparisons.
  public init(_ scores: [CallScore]) {
    self.init(
      count: scores.count, exact: scores.count { $0.isExact }, functions: scores.count { $0.functionIsCorrect })
  }

  /// The share of exact calls, in 0…1; 0 of nothing.
  public var exactMatch: Double { count == 0 ? 0 : Double(exact) / Double(count) }

  /// The same as a topic's value; nil of nothing.
  public var score: PrequentialScore? {
    count == 0 ? nil : PrequentialScore(n: count, exactMatch: exactMatch)
  }

  /// The sum of two scores.
  public static func + (a: PredictionTally, b: PredictionTally) -> PredictionTally {
    PredictionTally(count: a.count + b.count, exact: a.exact + b.exact, functions: a.functions + b.functions)
  }
}
