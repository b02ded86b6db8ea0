public import StudentModel
public import Tokenization
public import Topics

/// Answers requests with a student that is being trained.
///
/// What it predicts is measured and never learned from. A fall of what it gets right can bring a release point forward, though,
/// so its answers must be as reproducible as the weights.
public protocol CallPredictor: Sendable {
  /// One call for each conversation; `nil` where the answer is none.
  func predict(
    _ requests: [[ChatMessage]], student: Student, tokenizer: Tokenizer, functions: FunctionSet
  ) throws -> [Call?]
}
