import Inference
public import StudentModel
public import Tokenization
public import Topics

/// Answers through the serving decoder over the student's fp32 weights, as a release would answer.
public struct InferencePredictor: CallPredictor {
  private let options: DecodeOptions
  private let maximumBatch: Int

  /// A predictor.
  ///
  /// - Parameters:
  ///   - maximumTokens: The most tokens of an answer; default 96.
  ///   - maximumBatch: The most requests decoded together; default 32.
  public init(maximumTokens: Int = 96, maximumBatch: Int = 32) {
    options = DecodeOptions(maximumTokens: maximumTokens)
    self.maximumBatch = maximumBatch
  }

  /// One call for each conversation; `nil` where the answer is none.
  ///
  /// - Throws: The decoder's error where the student cannot be served.
  public func predict(
    _ requests: [[ChatMessage]], student: Student, tokenizer: Tokenizer, functions: FunctionSet
  ) throws -> [Call?] {
    let model = try ServingModel(student: student, tokenizer: tokenizer, functions: functions)
    let decoder = try Decoder(model: model, maximumBatch: maximumBatch)
    return try decoder.answer(requests, options: options).map(\.call)
  }
}
