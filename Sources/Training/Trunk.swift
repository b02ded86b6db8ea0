package import StudentModel
package import Tokenization
package import Topics

/// A student with its optimizer and language: what trains, on the trunk and on each branch.
package final class Trunk {
  package let student: Student
  package let tokenizer: Tokenizer
  package let encoder: SampleEncoder
  package let optimizer: AdamW
  /// The digest of the tokens of text, which a sample's log-probabilities must be of.
  package private(set) lazy var textDigest = tokenizer.textDigest

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
    _ batch: PackedBatch, rate: Double, recipe: TrainingRecipe, dropout: CounterRandom, teacher: Student? = nil
  ) throws -> LossReport {
    guard batch.weights.contains(where: { $0 > 0 }) else { return LossReport() }
    let logits = teacher.map { teacher in { (part: PackedBatch) in try teacher.forward(part) } }
    return try optimizer.learn(student, batch, rate: rate, recipe: recipe, teacher: logits) { pass in
      recipe.dropout > 0 ? Dropout(rate: Float(recipe.dropout), seed: dropout.bits(0), step: pass) : nil
    }
  }
}
