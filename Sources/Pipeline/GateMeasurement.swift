import Evaluation
import Inference
import Releases
import Topics

/// The answers of the candidate and its rivals to the same gate samples.
struct GateMeasurement {
  /// The released models that a candidate must not fall behind.
  struct Rivals {
    var incumbent: ServingModel?
    var best: ServingModel?
  }

  /// The shipped file, measured one question at a time, as a service meets it.
  let report: EvaluationReport
  /// The file itself, loaded.
  let candidateModel: ServingModel
  /// Right or wrong, by gate sample.
  let measurements: Gate.Measurements

  /// Exact match of the unpruned parent.
  var parentExactMatch: Double { Self.share(measurements.parent) }

  init(candidate: ServingModel, parent: ServingModel, rivals: Rivals, samples: [MeasuredSample]) throws {
    let cases = try Answering.evaluate(samples, model: candidate)
    candidateModel = candidate
    report = EvaluationReport(cases)
    measurements = Gate.Measurements(
      candidate: cases.map(\.score.isExact), parent: try Self.exact(samples, parent),
      incumbent: try rivals.incumbent.map { try Self.exact(samples, $0) },
      best: try rivals.best.map { try Self.exact(samples, $0) })
  }

  private static func exact(_ samples: [MeasuredSample], _ model: ServingModel) throws -> [Bool] {
    let calls = try Answering.calls(of: samples.map(\.messages), model: model)
    return zip(calls, samples).map { CallScore.exact($0, $1.call) }
  }

  private static func share(_ outcomes: [Bool]) -> Double {
    outcomes.isEmpty ? 0 : Double(outcomes.count { $0 }) / Double(outcomes.count)
  }
}
