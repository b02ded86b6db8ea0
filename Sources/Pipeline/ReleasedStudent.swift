import Evaluation
import Inference
import Releases
import RetortClient
import Topics

/// A deployed student that says how sure it is.
struct ReleasedStudent {
  /// What it makes of a request.
  struct Opinion: Sendable {
    /// The name of the release's model.
    let model: String
    let version: Int
    /// The calibrated probability that the call is right.
    let confidence: Double
    let call: Call?

    /// Whether the student is sure of it.
    var isSure: Bool { confidence >= ConfidenceThreshold.sure }

    /// The opinion beside the label.
    func recorded(label: Call) -> LabelChoice.StudentAnswer {
      LabelChoice.StudentAnswer(
        model: model, version: version, confidence: confidence, exact: CallScore.exact(call, label))
    }
  }

  private let name: String
  private let version: Int
  private let model: ServingModel
  private let calibration: ConfidenceCalibration
  /// Of which share of development samples it was sure; nil where its release does not say that.
  let expected: Evidence?

  /// Verifies and loads what is deployed.
  ///
  /// - Throws: what is wrong with its signature, files or answers; ``PipelineError`` where it does not know the functions or
  ///   has no calibration.
  init(
    _ deployment: DeploymentRecord, selection: LabelSelection, functions: FunctionSet, fetcher: ArtifactFetcher
  ) async throws {
    let manifest = deployment.manifest
    try selection.keys().verify(deployment)
    guard let calibration = manifest.confidenceCalibration, let file = manifest.weights else {
      throw PipelineError(
        .notEnough, "version \(manifest.version)", expected: "a release with a calibrated confidence", found: "none",
        advice: "wait for a release with at least \(ConfidenceThreshold.minimumSamples) development samples")
    }
    model = try ReleaseCheck.load(try await selection.store.path(of: file, fetcher: fetcher), manifest: manifest)
    // Other descriptions are no other functions.
    guard functions.missing(of: model.functions).isEmpty, model.functions.missing(of: functions).isEmpty else {
      throw PipelineError(
        .notEnough, "version \(manifest.version)", expected: "a release that knows the task's functions",
        found: "one with others", advice: "wait for the next release")
    }
    name = manifest.model
    version = manifest.version
    self.calibration = calibration
    expected = manifest.evidence.first { $0.metric == ConfidenceThreshold.sureShare && $0.subject == .candidate }
  }

  /// One opinion a conversation, in order.
  func opinions(on requests: [[ChatMessage]]) throws -> [Opinion] {
    try Answering.answers(to: requests, model: model, batch: 32).map {
      Opinion(
        model: name, version: version, confidence: calibration.probability(of: $0.confidence), call: $0.call)
    }
  }
}
