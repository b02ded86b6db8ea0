public import StudentModel
public import Tokenization

/// A release candidate's parent: the trunk after its learning rate has fallen.
public struct StudentBranch {
  /// The student; the caller owns it.
  public let student: Student
  /// Its tokenizer.
  public let tokenizer: Tokenizer
  /// The optimizer steps taken after the trunk.
  public let steps: Int
  /// The mean loss of a target token over the last tenth of the steps (the last one at least), in nats.
  public let finalLoss: Double
  /// What was done after the rate had fallen.
  public let refinement: RefinementReport
}
