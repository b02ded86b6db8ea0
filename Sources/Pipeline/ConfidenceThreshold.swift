import Evaluation
import Inference
package import Topics

/// How sure a student is and how often it is right then, found on development samples; the gate's are for the gate alone.
package struct ConfidenceThreshold {
  /// The share of right answers wanted above the threshold.
  static let precision = 0.95
  /// Fewest development samples for a threshold or a calibration.
  static let minimumSamples = 30
  /// From this calibrated confidence on a student is sure.
  static let sure = 0.9
  /// The metric of ``evidence``.
  static let sureShare = "sure_share"

  /// The lowest confidence such that the answers at or above it are right with at least ``precision``, by the calibrated curve;
  /// `nil` with too few samples, or where no threshold reaches it.
  let threshold: Double?
  /// The probability that an answer of some confidence is right; `nil` with too few samples.
  let calibration: ConfidenceCalibration?
  /// Of which share of the samples the student is sure, against which live traffic is held; empty with too few. Its n are
  /// different samples of equal weight that say as much.
  let evidence: [Evidence]

  /// Asks a model the development samples, each with the weight of its draw.
  init(on samples: [MeasuredSample], model: ServingModel) throws {
    guard samples.count >= Self.minimumSamples else {
      (threshold, calibration, evidence) = (nil, nil, [])
      return
    }
    let answers = try Answering.answers(to: samples.map(\.messages), model: model)
    let judged = zip(answers, samples).map {
      (confidence: $0.confidence, isRight: CallScore.exact($0.call, $1.call), weight: $1.weight)
    }
    let calibration = ConfidenceCalibration(fitting: judged, minimum: Self.minimumSamples)
    self.calibration = calibration
    threshold = calibration.flatMap { curve in
      SelectivePrediction.threshold(
        for: Self.precision, of: judged.map { ($0.confidence, curve.probability(of: $0.confidence), $0.weight) })
    }
    evidence =
      calibration.map { curve in
        [Self.evidence(judged.map { curve.probability(of: $0.confidence) >= Self.sure }, of: samples)]
      } ?? []
  }

  /// What is said of development samples, of each of which a student is sure or not.
  package static func evidence(_ isSure: [Bool], of samples: [MeasuredSample]) -> Evidence {
    let weights = SampleWeights(samples.map(\.weight), clusters: samples.map(\.question))
    let share = weights.share { isSure[$0] }
    return Evidence(
      metric: sureShare, value: share.estimate, n: max(1, Int(weights.effectiveCount { isSure[$0] ? 1 : 0 })),
      low: min(share.lower, share.estimate), high: max(share.upper, share.estimate), subject: .candidate)
  }
}
