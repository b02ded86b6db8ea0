import Evaluation
import Inference
import Releases
import RetortClient
import Topics

/// The answers of the candidate and its rivals to the same gate samples.
struct GateMeasurement {
  /// The released models that a candidate must not fall behind.
  struct Rivals {
    var incumbent: ServingModel?
    var best: ServingModel?
  }

  /// The shipped file's answers, and how long they take as a service answers.
  let report: EvaluationReport
  /// The file itself, loaded.
  let candidateModel: ServingModel
  /// The probes with the answers that the shipped file gives.
  let probes: [Probe]
  /// Right or wrong, by gate sample, and what else the gate looks at.
  let measurements: Gate.Measurements

  /// Exact match of the unpruned parent.
  var parentExactMatch: Double { measurements.weights.share { measurements.parent[$0] }.estimate }

  init(
    candidate: ServingModel, parent: ServingModel, rivals: Rivals, samples: [MeasuredSample],
    questions: [[ChatMessage]], bytes: Int64, look: Int
  ) throws {
    let cases = try Answering.evaluate(samples, model: candidate)
    candidateModel = candidate
    report = EvaluationReport(cases)
    let answers = try ReleaseCheck.answer(questions, model: candidate)
    probes = zip(questions, answers).map { Probe(messages: $0, call: $1) }
    measurements = Gate.Measurements(
      candidate: cases.map(\.score.isExact), parent: try Self.exact(samples, parent),
      incumbent: try rivals.incumbent.map { try Self.exact(samples, $0) },
      best: try rivals.best.map { try Self.exact(samples, $0) },
      weights: SampleWeights(samples.map(\.weight), clusters: samples.map(\.question)),
      functions: samples.map(\.call.name),
      probes: (Self.summary(answers), Self.summary(try ReleaseCheck.answer(questions, model: parent))),
      latency: samples.isEmpty ? nil : report.latency.p50, bytes: bytes, look: look)
  }

  private static func summary(_ answers: [Call?]) -> Gate.Measurements.ProbeAnswers {
    let calls = answers.compactMap(\.self)
    return Gate.Measurements.ProbeAnswers(
      count: answers.count, valid: calls.count, distinct: Set(calls.map { $0.json.canonical }).count)
  }

  private static func exact(_ samples: [MeasuredSample], _ model: ServingModel) throws -> [Bool] {
    let calls = try Answering.calls(of: samples.map(\.messages), model: model)
    return zip(calls, samples).map { CallScore.exact($0, $1.call) }
  }
}
