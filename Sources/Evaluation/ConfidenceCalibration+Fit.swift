import Foundation
public import Topics

extension ConfidenceCalibration {
  /// The probability that an answer with this confidence (0 to 1) is right; 0 for an answer without any (an invalid one).
  public func probability(of confidence: Double) -> Double {
    guard confidence > 0 else { return 0 }
    return Self.logistic(slope * Self.logOdds(confidence) + intercept)
  }

  /// The curve under which these answers are most likely, or `nil` with fewer than `minimum`.
  ///
  /// Newton's method on the weighted log likelihood, with Platt's smoothed targets and a weak pull (one pseudo-answer)
  /// towards slope 1 and intercept 0, so that a handful of answers, or answers that are all right, give no extreme curve.
  /// Answers without any confidence say nothing about the curve and are left out.
  ///
  /// - Parameters:
  ///   - answers: confidence (0 to 1), whether it was right, and the weight of the question.
  ///   - minimum: the fewest answers; default 30.
  public init?(fitting answers: [(confidence: Double, isRight: Bool, weight: Double)], minimum: Int = 30) {
    let answers = answers.filter { $0.confidence > 0 && $0.weight > 0 }
    guard answers.count >= minimum else { return nil }
    let scale = Double(answers.count) / answers.reduce(0) { $0 + $1.weight }
    let right = answers.reduce(0) { $0 + ($1.isRight ? $1.weight * scale : 0) }
    let targets = (right: (right + 1) / (right + 2), wrong: 1 / (Double(answers.count) - right + 2))
    let points = answers.map {
      Point(
        odds: Self.logOdds($0.confidence), target: $0.isRight ? targets.right : targets.wrong, weight: $0.weight * scale
      )
    }
    var found = Self.minimum(points, from: (1, 0), isFlat: false)
    // Where the surer answers are the worse ones, the best curve that does not fall is a flat one.
    if found.slope < 0 { found = Self.minimum(points, from: (0, 0), isFlat: true) }
    self.init(slope: min(found.slope, 1e3), intercept: min(max(-1e3, found.intercept), 1e3), n: answers.count)
  }

  /// Newton's method, with half the step while a whole one would make things worse.
  ///
  /// - Parameter isFlat: whether the slope stays as it is.
  private static func minimum(
    _ points: [Point], from start: (slope: Double, intercept: Double), isFlat: Bool
  ) -> (slope: Double, intercept: Double) {
    var (slope, intercept) = start
    for _ in 0..<100 {
      let step = newtonStep(points, slope, intercept, isFlat: isFlat)
      var share = 1.0
      let before = loss(points, slope, intercept)
      while share > 1e-6, loss(points, slope + share * step.slope, intercept + share * step.intercept) > before {
        share /= 2
      }
      slope += share * step.slope
      intercept += share * step.intercept
      if abs(step.slope) + abs(step.intercept) < 1e-9 || share <= 1e-6 { break }
    }
    return (slope, intercept)
  }

  private struct Point {
    let odds: Double
    let target: Double
    let weight: Double
  }

  /// The negative log likelihood with the pull.
  private static func loss(_ points: [Point], _ slope: Double, _ intercept: Double) -> Double {
    points.reduce(0.5 * ((slope - 1) * (slope - 1) + intercept * intercept)) { sum, point in
      let z = slope * point.odds + intercept
      // log(1 + e^z) without overflow.
      return sum + point.weight * (max(z, 0) + log1p(exp(-abs(z))) - point.target * z)
    }
  }

  private static func newtonStep(
    _ points: [Point], _ slope: Double, _ intercept: Double, isFlat: Bool
  ) -> (slope: Double, intercept: Double) {
    var gradient = (slope: slope - 1, intercept: intercept)
    var hessian = (ss: 1.0, si: 0.0, ii: 1.0)
    for point in points {
      let p = logistic(slope * point.odds + intercept)
      let error = point.weight * (p - point.target)
      gradient.slope += error * point.odds
      gradient.intercept += error
      let curvature = point.weight * p * (1 - p)
      hessian.ss += curvature * point.odds * point.odds
      hessian.si += curvature * point.odds
      hessian.ii += curvature
    }
    guard !isFlat else { return (0, -gradient.intercept / hessian.ii) }
    let determinant = hessian.ss * hessian.ii - hessian.si * hessian.si
    return (
      -(hessian.ii * gradient.slope - hessian.si * gradient.intercept) / determinant,
      -(hessian.ss * gradient.intercept - hessian.si * gradient.slope) / determinant
    )
  }

  private static func logistic(_ z: Double) -> Double { 1 / (1 + exp(-z)) }

  /// ln(c / (1 − c)), of a confidence kept within [10⁻⁶, 1 − 10⁻⁶].
  private static func logOdds(_ confidence: Double) -> Double {
    let inside = min(max(confidence, 1e-6), 1 - 1e-6)
    return log(inside / (1 - inside))
  }
}
