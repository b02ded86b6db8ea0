package import StudentModel
package import Tokenization
import Topics

/// A student with its optimizer and language: what trains, on the trunk and on each branch.
package final class Trunk {
  package let student: Student
  package let tokenizer: Tokenizer
  package let encoder: SampleEncoder
  package let optimizer: AdamW

  package init(student: Student, tokenizer: Tokenizer, encoder: SampleEncoder, optimizer: AdamW) {
    self.student = student
    self.tokenizer = tokenizer
    self.encoder = encoder
    self.optimizer = optimizer
  }

  /// A second one in the same state.
  package func copy() -> Trunk {
    Trunk(
      student: student.copy(), tokenizer: tokenizer, encoder: encoder,
      optimizer: optimizer.copy(layout: student.layout))
  }

  /// One optimizer step on a batch; a batch whose weights are all zero changes nothing.
  ///
  /// - Throws: ``TrainingError`` `diverged`; the student's error for a batch that does not fit it.
  package func learn(
    _ batch: PackedBatch, rate: Double, recipe: TrainingRecipe, dropout: CounterRandom
  ) throws -> LossReport {
    guard batch.weights.contains(where: { $0 > 0 }) else { return LossReport() }
    let step = UInt64(optimizer.step)
    let mask = recipe.dropout > 0 ? Dropout(rate: Float(recipe.dropout), seed: dropout.bits(0), step: step) : nil
    let report = try student.forwardBackward(batch, dropout: mask)
    guard report.lossSum.isFinite else {
      throw TrainingError(
        .diverged, context: "step \(step + 1)", expected: "a finite loss", found: "\(report.lossSum)",
        advice: "lower learning_rate and train again")
    }
    try optimizer.apply(to: student, rate: rate, recipe: recipe)
    return report
  }
}
