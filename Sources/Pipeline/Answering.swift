public import Evaluation
public import Inference
import StudentModel
public import Topics

/// Asking a model many questions, through the decoder that serves it. Cancellation: between two questions or batches of them.
public enum Answering {
  /// One call for each conversation, `nil` where the answer is none; several at a time.
  public static func calls(
    of requests: [[ChatMessage]], model: ServingModel, batch: Int = 16, options: DecodeOptions = DecodeOptions()
  ) throws -> [Call?] {
    try answers(to: requests, model: model, batch: batch, options: options).map(\.call)
  }

  /// The answers themselves.
  public static func answers(
    to requests: [[ChatMessage]], model: ServingModel, batch: Int = 16, options: DecodeOptions = DecodeOptions()
  ) throws -> [Answer] {
    let decoder = try Decoder(model: model, maximumBatch: batch)
    var answers: [Answer] = []
    answers.reserveCapacity(requests.count)
    var start = 0
    while start < requests.count {
      try Task.checkCancellation()
      let end = min(start + batch, requests.count)
      answers += try decoder.answer(Array(requests[start..<end]), options: options)
      start = end
    }
    return answers
  }

  /// Of how many questions the latency is measured.
  package static let timed = 100

  /// Every question, and of up to 100 of them, spread evenly, how long an answer takes on its own, on one thread, as a service
  /// answers it.
  ///
  /// - Parameters:
  ///   - samples: questions with the calls that are right.
  ///   - model: the model to measure.
  ///   - constrained: whether decoding is held to the functions' schemas.
  /// - Returns: one case a sample, in order.
  public static func evaluate(
    _ samples: [MeasuredSample], model: ServingModel, options: DecodeOptions = DecodeOptions()
  ) throws -> [EvaluationCase] {
    let answers = try answers(to: samples.map(\.messages), model: model, options: options)
    let latencies = try latencies(of: samples, model: model, options: options)
    return samples.indices.map { index in
      EvaluationCase(
        id: samples[index].id, expected: samples[index].call, predicted: answers[index].call,
        latencyMilliseconds: latencies[index], confidence: answers[index].confidence,
        cluster: samples[index].question, weight: samples[index].weight)
    }
  }

  /// Milliseconds by index.
  private static func latencies(
    of samples: [MeasuredSample], model: ServingModel, options: DecodeOptions
  ) throws -> [Int: Double] {
    let decoder = try Decoder(model: model, maximumBatch: 1)
    let clock = ContinuousClock()
    let count = min(timed, samples.count)
    var latencies: [Int: Double] = [:]
    for index in (0..<count).map({ $0 * samples.count / count }) {
      try Task.checkCancellation()
      let elapsed = try KernelPool.alone {
        try clock.measure { _ = try decoder.answer([samples[index].messages], options: options) }
      }
      latencies[index] =
        Double(elapsed.components.attoseconds) / 1e15 + Double(elapsed.components.seconds) * 1e3
    }
    return latencies
  }

  /// Two models on the same questions, several at a time.
  ///
  /// - Parameter samples: questions with the calls that are right.
  public static func compare(
    _ first: ServingModel, _ second: ServingModel, on samples: [MeasuredSample]
  ) throws -> ModelComparison {
    func cases(_ model: ServingModel) throws -> [EvaluationCase] {
      let calls = try calls(of: samples.map(\.messages), model: model)
      return samples.indices.map { index in
        EvaluationCase(
          id: samples[index].id, expected: samples[index].call, predicted: calls[index],
          cluster: samples[index].question, weight: samples[index].weight)
      }
    }
    return ModelComparison(first: try cases(first), second: try cases(second))
  }
}

/// A question with the call that is right.
public struct MeasuredSample: Sendable, Hashable {
  /// The request's id.
  public let id: String
  /// The conversation.
  public let messages: [ChatMessage]
  /// The call that is right.
  public let call: Call
  /// The inverse of the probability with which it was drawn from the traffic.
  public let weight: Double

  /// What is the same of requests that ask the same: all that was said, but for case, spaces and final marks. (A split goes by what
  /// the user said; "yes, please" to two questions is two.)
  var question: String {
    messages.map { "\($0.role.rawValue) \(NormalisedText.of($0.content))" }.joined(separator: "\n")
  }

  /// A question with its answer; drawn with certainty by default.
  public init(id: String, messages: [ChatMessage], call: Call, weight: Double = 1) {
    self.id = id
    self.messages = messages
    self.call = call
    self.weight = weight
  }
}
