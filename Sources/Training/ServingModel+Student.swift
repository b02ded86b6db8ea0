public import Inference
public import StudentModel
public import Tokenization
public import Topics

extension ServingModel {
  /// Serves a student as it is now: its weights are copied, in fp32, adapters merged, tensor by tensor.
  ///
  /// - Throws: `InferenceError` where the student cannot be served.
  public convenience init(student: Student, tokenizer: Tokenizer, functions: FunctionSet) throws(InferenceError) {
    let layout = ParameterLayout(student.configuration)
    try self.init(configuration: student.configuration, tokenizer: tokenizer, functions: functions) { name, values in
      guard let entry = layout[name], let start = values.baseAddress else { return }
      student.writeMerged(entry, into: start)
    }
  }
}
