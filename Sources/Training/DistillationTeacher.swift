import ModelFiles
public import StudentModel
public import Tokenization
public import Topics

/// A model whose distributions a student learns from: a larger student of ours, or any of the families that can be read.
///
/// A path that ends in `.gguf` is a file that was written from a student, any other a Hugging Face folder; to that the
/// structure tokens of the student are added, as to a base, those that it has not. Its weights are held in single precision.
public struct DistillationTeacher {
  /// The model.
  public let student: Student
  /// Its tokenizer, structure tokens included.
  public let tokenizer: Tokenizer
  /// The SHA-256 of weights, sizes and tokenizer, before anything was added: what a recipe names it by.
  public let digest: Digest

  /// Reads a model.
  ///
  /// - Parameter other: The student's tokenizer. A folder gets the structure tokens that the student has by now, in their
  ///   order: that is of the student's history, not of any set of functions. One whose text has other tokens gets none.
  /// - Throws: As ``BaseModel/init(folder:functions:)``; `ModelFileError`, `TokenizationError` for a file.
  public init(path: String, tokenizer other: Tokenizer) throws {
    guard path.hasSuffix(".gguf") else {
      let model = try BaseModel(folder: path) { plain in
        guard plain.textDigest == other.textDigest else { return [] }
        return other.structureTexts.filter { plain.structure($0) == nil }
      }
      student = try Student(configuration: model.configuration, weights: model.copy(_:into:))
      tokenizer = model.tokenizer
      digest = model.digest
      return
    }
    let file = try GGUFFile(path: path)
    student = try Student(file)
    tokenizer = try Tokenizer(file.vocabulary())
    digest = Self.digest(student, tokenizer)
  }

  private static func digest(_ student: Student, _ tokenizer: Tokenizer) -> Digest {
    var stream = Digest.Stream()
    withExtendedLifetime(student) { stream.update(UnsafeRawBufferPointer(student.parameters)) }
    stream.update(CheckpointHeader.json(student.configuration).canonical)
    stream.update(tokenizer.digest.bytes)
    return stream.digest
  }

  /// What a recipe names the model at `path` by.
  ///
  /// - Throws: As reading it.
  public static func digest(path: String) throws -> Digest {
    guard path.hasSuffix(".gguf") else { return try BaseModel(folder: path) { _ in [] }.digest }
    let file = try GGUFFile(path: path)
    return digest(try Student(file), try Tokenizer(file.vocabulary()))
  }

  /// Checks that it is the teacher of a recipe, speaks the student's tokens, and reads sequences as long as the student learns.
  ///
  /// - Throws: ``TrainingError`` `invalid_base`, naming both digests or lengths.
  func check(recipe: TrainingRecipe, tokenizer other: Tokenizer, student: Student) throws(TrainingError) {
    guard digest.hex == recipe.distillTeacher else {
      throw TrainingError(
        .invalidBase, context: "the teacher", expected: "the recipe's, \(recipe.distillTeacher)", found: digest.hex,
        advice: "name the model that the recipe's digest is of")
    }
    let rows = (self.student.configuration.vocabularySize, student.configuration.vocabularySize)
    guard tokenizer.digest == other.digest, rows.0 == rows.1 else {
      throw TrainingError(
        .invalidBase, context: "the teacher's tokenizer",
        expected: "the student's, \(other.digest.hex), and \(rows.1) rows",
        found: "\(tokenizer.digest.hex), and \(rows.0) rows",
        advice: "distil from a model with the same tokens, in a folder where the student has gained functions, "
          + "or start the student from one of the teacher's family")
    }
    let (own, needed) = (
      self.student.configuration.maximumPositions,
      min(recipe.maximumSequence, student.configuration.maximumPositions)
    )
    guard own >= needed else {
      throw TrainingError(
        .invalidBase, context: "the teacher's positions", expected: "at least the \(needed) of the student's sequences",
        found: "\(own)", advice: "distil from a model that reads longer sequences, or lower maximum_sequence")
    }
  }
}
