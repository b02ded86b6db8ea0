public import Inference
public import StudentModel
public import Tokenization
public import Topics

extension ServingModel {
  /// Serves a student as it is now: its weights are copied, in fp32, adapters merged.
  ///
  /// - Throws: `InferenceError` where the student cannot be served.
  public convenience init(student: Student, tokenizer: Tokenizer, functions: FunctionSet) throws(InferenceError) {
    let student = student.merged()
    // The buffer belongs to the student, which nothing else here would keep alive while it is copied.
    defer { withExtendedLifetime(student) {} }
    try self.init(
      configuration: student.configuration, parameters: UnsafeBufferPointer(student.parameters), tokenizer: tokenizer,
      functions: functions)
  }
}
