import Evaluation
import Inference
import Topics

/// The confidence above which a student's answers are as right as is wanted, found on development samples.
enum ConfidenceThreshold {
  /// The share of right answers wanted above the threshold.
  static let precision = 0.95
  /// Fewest development samples for a threshold.
  static let minimumSamples = 30

  /// The lowest confidence such that the answers at or above it are right with at least ``precision``.
  ///
  /// - Returns: `nil` with too few samples, or where no threshold reaches it.
  static func calibrate(on samples: [MeasuredSample], model: ServingModel) throws -> Double? {
    guard samples.count >= minimumSamples else { return nil }
    let answers = try Answering.answers(to: samples.map(\.messages), model: model)
    let ranked = zip(answers, samples)
      .map { (confidence: $0.confidence, isRight: CallScore.exact($0.call, $1.call)) }
      .sorted { $0.confidence > $1.confidence }
    var right = 0
    var threshold: Double?
    for (index, item) in ranked.enumerated() {
      if item.isRight { right += 1 }
      // Answers of one confidence stand on the same side.
      let isLastOfItsKind = index + 1 == ranked.count || ranked[index + 1].confidence < item.confidence
      if isLastOfItsKind, Double(right) >= precision * Double(index + 1) { threshold = item.confidence }
    }
    return threshold.map { min(1, max(0, $0)) }
  }
}
