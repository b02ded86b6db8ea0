import ModelFiles
public import StudentModel
public import Tokenization
public import Topics

/// A model whose distributions a student learns from: a larger student of ours, or any of the families that can be read.
///
/// A path that ends in `.gguf` is a file that was written from a student, any other a Hugging Face folder; to that the
/// structure tokens of the student are added, as to a base, those that it has not. Its weights are held in single precision, and
/// its embedding has the student's rows: models of one family, of the same tokens, are padded to different numbers.
public struct DistillationTeacher {
  /// Reads a teacher for a student's tokenizer and the rows of its embedding.
  public typealias Loader = @Sendable (_ tokenizer: Tokenizer, _ rows: Int) throws -> DistillationTeacher

  /// The model.
  public let student: Student
  /// Its tokenizer, structure tokens included.
  public let tokenizer: Tokenizer
  /// The SHA-256 of weights, sizes and tokenizer, before anything was added: what a recipe names it by.
  public let digest: Digest
  private let isFile: Bool

  /// Reads a model.
  ///
  /// - Parameters:
  ///   - other: The student's tokenizer. A folder gets the structure tokens that the student has by now, in their order: that is
  ///     of the student's history, not of any set of functions. One whose text has other tokens gets none.
  ///   - rows: The rows of the student's embedding; `nil` for as many as the model itself has.
  /// - Throws: As ``BaseModel/init(folder:functions:)``; `ModelFileError`, `TokenizationError` for a file.
  public init(path: String, tokenizer other: Tokenizer, rows: Int? = nil) throws {
    isFile = Self.isFile(path)
    guard isFile else {
      let model = try BaseModel(folder: path, rows: rows) { Self.structure(of: other, for: $0) }
      student = try Student(configuration: model.configuration, weights: model.copy(_:into:))
      tokenizer = model.tokenizer
      digest = model.digest
      return
    }
    let file = try GGUFFile(path: path)
    let whole = try Student(file)
    tokenizer = try Tokenizer(file.vocabulary())
    digest = Self.digest(whole, tokenizer)
    student = try whole.withRows(max(rows ?? whole.configuration.vocabularySize, tokenizer.vocabularySize))
  }

  /// Whether a path names a file that was written from a student.
  private static func isFile(_ path: String) -> Bool { path.hasSuffix(".gguf") }

  /// The structure tokens that a folder's tokenizer lacks beside a student's.
  private static func structure(of other: Tokenizer, for plain: Tokenizer) -> [String] {
    guard plain.textDigest == other.textDigest else { return [] }
    return other.structureTexts.filter { plain.structure($0) == nil }
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
    guard isFile(path) else { return try BaseModel(folder: path) { _ in [] }.digest }
    let file = try GGUFFile(path: path)
    return digest(try Student(file), try Tokenizer(file.vocabulary()))
  }

  /// Checks that the model at `path` can teach a student, without reading its weights.
  ///
  /// - Parameters:
  ///   - other: The student's tokenizer. It may gain structure tokens yet: that the teacher has more is no difference.
  ///   - positions: The length of the longest sequence that the student learns.
  /// - Throws: ``TrainingError`` `invalid_base`, naming both digests or lengths; `ModelFileError`, `TokenizationError` for what
  ///   cannot be read.
  public static func check(path: String, tokenizer other: Tokenizer, positions: Int) throws {
    let (own, ownPositions): (Tokenizer, Int)
    if isFile(path) {
      let file = try GGUFFile(path: path)
      (own, ownPositions) = (try Tokenizer(file.vocabulary()), try file.decoderConfiguration().maximumPositions)
    } else {
      let folder = try HuggingFaceFolder.read(path)
      guard let json = folder.tokenizerJSON else { throw BaseModel.noTokenizer(path) }
      let plain = try Tokenizer(huggingFace: json)
      own = try plain.adding(structure: structure(of: other, for: plain))
      ownPositions = folder.configuration.maximumPositions
    }
    let tokenizers = try (sayable(own, isFile(path)), sayable(other, isFile(path)))
    let isBeginning = own.structureTexts.starts(with: other.structureTexts)
    try check(
      isBeginning
        ? (tokenizers.0.textDigest, tokenizers.1.textDigest) : (tokenizers.0.digest, tokenizers.1.digest),
      positions: (ownPositions, positions))
  }

  /// As much of a tokenizer as a model of that kind can say: the tokens are the same where a file says less of them.
  private static func sayable(_ tokenizer: Tokenizer, _ isFile: Bool) throws -> Tokenizer {
    isFile ? try tokenizer.asInGGUF() : tokenizer
  }

  /// Checks that it is the teacher of a recipe, speaks the student's tokens, and reads sequences as long as the student learns.
  ///
  /// - Throws: ``TrainingError`` `invalid_base`, naming both digests or lengths.
  func check(recipe: TrainingRecipe, tokenizer other: Tokenizer, student: Student) throws {
    guard digest.hex == recipe.distillTeacher else {
      throw TrainingError(
        .invalidBase, context: "the teacher", expected: "the recipe's, \(recipe.distillTeacher)", found: digest.hex,
        advice: "name the model that the recipe's digest is of")
    }
    let needed = min(recipe.maximumSequence, student.configuration.maximumPositions)
    try Self.check(
      (Self.sayable(tokenizer, isFile).digest, Self.sayable(other, isFile).digest),
      positions: (self.student.configuration.maximumPositions, needed))
  }

  private static func check(
    _ tokenizers: (own: Digest, other: Digest), positions: (own: Int, needed: Int)
  ) throws(TrainingError) {
    guard tokenizers.own == tokenizers.other else {
      throw TrainingError(
        .invalidBase, context: "the teacher's tokenizer", expected: "the student's, \(tokenizers.other.hex)",
        found: tokenizers.own.hex,
        advice: "distil from a model with the same tokens, in a folder where the student has gained functions, "
          + "or start the student from one of the teacher's family")
    }
    guard positions.own >= positions.needed else {
      throw TrainingError(
        .invalidBase, context: "the teacher's positions",
        expected: "at least the \(positions.needed) of the student's sequences", found: "\(positions.own)",
        advice: "distil from a model that reads longer sequences, or lower maximum_sequence")
    }
  }
}

extension Student {
  /// The same with so many rows in its embedding and output matrix; new ones are zero.
  fileprivate func withRows(_ rows: Int) throws -> Student {
    guard rows != configuration.vocabularySize else { return self }
    var sizes = configuration
    sizes.vocabularySize = rows
    return try Student(configuration: sizes, precision: precision) { entry, weights in
      guard let old = layout[entry.name] else { return }
      let values = parameters(old).prefix(entry.count)
      _ = UnsafeMutableBufferPointer(start: weights, count: entry.count).update(fromContentsOf: values)
    }
  }
}
