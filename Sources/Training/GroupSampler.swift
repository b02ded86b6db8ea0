import Inference
import StudentModel
import Tokenization
import Topics

/// Samples several answers to each request from a student, as rejection sampling and reinforcement learning need them.
///
/// Draws are a function of the seed, the place among the requests and the student: nothing has to be kept to go on after a kill.
struct GroupSampler {
  /// How many answers to a request.
  let size: Int
  let temperature: Double
  /// Whether only legal calls can be sampled; otherwise the model is free to write what it likes.
  let isConstrained: Bool
  /// The most tokens of an answer.
  let maximumTokens: Int

  /// One sampled answer.
  struct Sample {
    /// Its tokens, the end included where the student wrote it.
    let tokens: [Int32]
    /// The call that it makes, legal or not; nil where it makes none.
    let call: Call?
  }

  /// How many requests are answered between two looks at whether the task was cancelled: many take hours.
  private static let slice = 64

  /// The answers to each request, group by group in order.
  ///
  /// - Throws: The decoder's error where the student cannot be served; `CancellationError`.
  func sample(
    _ requests: [[ChatMessage]], from trunk: Trunk, functions: FunctionSet, seed: UInt64
  ) throws -> [[Sample]] {
    let model = try ServingModel(student: trunk.student, tokenizer: trunk.tokenizer, functions: functions)
    let decoder = try Decoder(model: model, maximumBatch: 64)
    var answers: [Answer] = []
    for start in stride(from: 0, to: requests.count, by: Self.slice) {
      try Task.checkCancellation()
      let part = requests[start..<min(start + Self.slice, requests.count)]
      let options = DecodeOptions(
        constrained: isConstrained, maximumTokens: maximumTokens,
        sampling: DecodeOptions.Sampling(temperature: temperature, seed: seed, first: start * size))
      answers += try decoder.answer(part.flatMap { Array(repeating: $0, count: size) }, options: options)
    }
    return stride(from: 0, to: answers.count, by: size).map { start in
      answers[start..<start + size].map { answer in
        let isWhole = isConstrained ? answer.call != nil : answer.generated.last == model.codec.endOfAnswer
        return Sample(
          tokens: answer.generated, call: isWhole ? try? model.codec.call(fromAnswer: answer.text) : nil)
      }
    }
  }
}
