public import Evaluation
public import Inference
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

  /// Every question on its own, with its latency, as a service would meet it.
  ///
  /// - Parameters:
  ///   - samples: questions with the calls that are right.
  ///   - model: the model to measure.
  ///   - constrained: whether decoding is held to the functions' schemas.
  /// - Returns: one case a sample, in order.
  public static func evaluate(
    _ samples: [MeasuredSample], model: ServingModel, options: DecodeOptions = DecodeOptions()
  ) throws -> [EvaluationCase] {
    let decoder = try Decoder(model: model, maximumBatch: 1)
    let clock = ContinuousClock()
    return try samples.map { sample in
      try Task.checkCancellation()
      var answer: Answer?
      let elapsed = try clock.measure { answer = try decoder.answer([sample.messages], options: options).first }
      return EvaluationCase(
        id: sample.id, expected: sample.call, predicted: answer?.call,
        latencyMilliseconds: Double(elapsed.components.attoseconds) / 1e15 + Double(elapsed.components.seconds) * 1e3,
        confidence: answer?.confidence,
        cluster: sample.question, weight: sample.weight)
    }
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
