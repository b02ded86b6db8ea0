import Evaluation
package import Topics

/// Watches of which share of the traffic the deployed student is sure: where that is less than it was of the development
/// samples of its release, requests have come to be of another kind.
///
/// Needs no label, so that it sees drift where few requests are labelled. What it cannot see is a student that is wrong and
/// sure; that is what labels of the uniform share are for.
package struct ConfidenceWatch: Sendable {
  /// About the probability of a false alarm in 1,000 watched requests, as the trainer's by default.
  static let falseAlarms = 0.002

  private var detector: DriftDetector?
  /// Whether the share has fallen since the release was deployed, and not risen again.
  package private(set) var hasFallen = false
  /// No release is expected to be sure of a larger share: that of another which had become unsure, until one is found surer.
  /// Else requests that nobody can label, which are not among development samples, would be drift for ever.
  private var attainable = 1.0

  package init() {}

  /// Begins anew with another release.
  ///
  /// - Parameter expected: the share of development samples that it was sure of; nil watches nothing.
  package mutating func follow(_ expected: Evidence?) {
    if hasFallen, let detector { attainable = min(attainable, detector.mean) }
    hasFallen = false
    detector = expected.map {
      let count = min($0.n, HeldOutSamples.devLimit)
      let right = (Double(count) * min($0.value, attainable)).rounded()
      return DriftDetector(confidence: Self.falseAlarms, after: count, right: min(max(0, Int(right)), count))
    }
  }

  /// Takes the next watched request; whether the share has now fallen and had not before.
  package mutating func look(isSure: Bool) -> Bool {
    let change = detector?.add(isSure)
    if change == .rise { (attainable, hasFallen) = (1, false) }
    guard change == .fall, !hasFallen else { return false }
    hasFallen = true
    return true
  }
}
