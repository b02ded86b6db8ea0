public import Inference
import ModelFiles
public import StudentModel
public import Tokenization
public import Topics
public import Training

/// A model to compress, read from a Hugging Face folder, from a GGUF file that was written from a student, or from a checkpoint of
/// the trainer.
public struct UncompressedModel {
  /// The weights, as single-precision numbers.
  public let student: Student
  /// Its tokenizer.
  public let tokenizer: Tokenizer
  /// The functions that a GGUF file, a folder's `retort.json` or a checkpoint carries; `nil` without.
  public let functions: FunctionSet?
  /// Its chat template and end of text, and how it answers.
  public let description: StudentDescription
  /// How a checkpoint's student was trained; of any other the standard, at the rate of a pretrained model where it began as one.
  let recipe: TrainingRecipe
  /// Whether the student began as a pretrained model; of a folder or a file the tokenizer tells.
  let hasBase: Bool

  /// Reads a model; a path that ends in `.gguf` is a file, one as a ``CheckpointStore`` names its files a checkpoint, any other a
  /// folder.
  ///
  /// A checkpoint gives the student that a release of it is made from: its learning rate is brought down first, which takes the steps
  /// that its recipe says. It answers as the release does, too.
  ///
  /// - Parameters:
  ///   - alternatives: How many beginnings a checkpoint's student follows where an answer is unsure, 0…1,000, as releases do.
  ///   - teacher: Loads the model that a checkpoint's recipe names as the one to distil from.
  ///   - progress: Called after every step on a checkpoint; what it throws ends the work.
  /// - Throws: ``CompressionError`` `mismatch` where a folder has no tokenizer or its `retort.json` does not hold, there are more tokens than rows, or a weight
  ///   is not finite;
  ///   `ModelFileError`, `TokenizationError`, `TopicError` where a file's functions do not hold; `TrainingError` where a checkpoint cannot be
  ///   gone on from, `InferenceError` where its student cannot be served.
  public init(
    path: String, alternatives: Int = DecodeOptions.standardAlternatives,
    teacher: DistillationTeacher.Loader? = nil,
    progress: ((StepReport) throws -> Void)? = nil
  ) throws {
    if path.hasSuffix(".gguf") {
      try self.init(file: GGUFFile(path: path))
    } else if let (store, digest) = CheckpointStore.locate(path) {
      let trainer = try Trainer(restoring: digest, from: store)
      trainer.progress = progress
      try self.init(trainer, alternatives: alternatives, teacher: teacher)
    } else {
      try self.init(folder: HuggingFaceFolder.read(path))
    }
    // What is written from this must be a model that can be read.
    let rows = student.configuration.vocabularySize
    guard tokenizer.vocabularySize <= rows else {
      throw CompressionError(
        .mismatch, context: path, expected: "at most \(rows) tokens, as the embedding has rows",
        found: "\(tokenizer.vocabularySize)", advice: "use the tokenizer that belongs to the model")
    }
    for entry in student.layout.entries where !student.parameters(entry).allSatisfy(\.isFinite) {
      throw CompressionError(
        .mismatch, context: "\(path), \(entry.name)", expected: "finite numbers", found: "an infinite value or NaN",
        advice: "fetch or write the model again; if that does not help its training has diverged")
    }
  }

  private init(folder: HuggingFaceFolder) throws {
    guard let json = folder.tokenizerJSON else {
      throw CompressionError(
        .mismatch, context: folder.path, expected: "a tokenizer.json", found: "none",
        advice: "add the tokenizer that belongs to the model")
    }
    let settings = try FolderSettings(of: folder)
    student = try Student(configuration: folder.configuration, precision: settings.precision) { entry, weights in
      try folder.tensor(entry.name).copyFloats(into: UnsafeMutableBufferPointer(start: weights, count: entry.count))
    }
    let tokenizer = try Tokenizer(huggingFace: json)
    self.tokenizer = tokenizer
    functions = settings.functions
    (recipe, hasBase) = Self.training(of: tokenizer)
    var description = StudentDescription()
    description.chatTemplate = folder.chatTemplate
    // Of several ends the one that the tokenizer has: the others stop an answer as well.
    let end = folder.endOfTextText.flatMap { tokenizer.control($0) }.map(Int.init)
    description.endOfText = folder.endOfTextIDs.first { $0 == end } ?? folder.endOfTextIDs.first
    description.otherEnds = folder.endOfTextIDs.filter { $0 != description.endOfText }
    // A student of ours never read one.
    let beginning = tokenizer.beginning ?? folder.beginningText.flatMap { tokenizer.control($0) }
    description.beginning = functions == nil ? beginning.map(Int.init) : nil
    description.metadata = settings.metadata
    self.description = description
  }

  /// How the model of a folder or a file, which does not say, was trained.
  private static func training(of tokenizer: Tokenizer) -> (recipe: TrainingRecipe, hasBase: Bool) {
    var recipe = TrainingRecipe()
    guard BaseModel.isPretrained(tokenizer) else { return (recipe, false) }
    recipe.learningRate = TrainingRecipe.pretrainedRate
    return (recipe, true)
  }

  private init(_ trainer: Trainer, alternatives: Int, teacher: DistillationTeacher.Loader?) throws {
    let branch = try trainer.branch(teacher: try trainer.teacher(teacher))
    student = branch.student
    tokenizer = branch.tokenizer
    functions = trainer.functions
    (recipe, hasBase) = (trainer.recipe, trainer.modelDigest != nil)
    var description = StudentDescription()
    let labels = trainer.recentSamples(SayableLabels.deciding).map { ($0.messages, $0.call) }
    let sayable = try ServingModel(student: student, tokenizer: tokenizer, functions: trainer.functions).sayable(labels)
    description.metadata = sayable.metadata(alternatives: alternatives)
    self.description = description
  }

  private init(file: GGUFFile) throws {
    student = try Student(file)
    let vocabulary = try file.vocabulary()
    tokenizer = try Tokenizer(vocabulary)
    functions = try file.metadata["retort.functions"]?.string.map { try FunctionSet(json: JSON.parse($0)) }
    (recipe, hasBase) = Self.training(of: tokenizer)
    var description = StudentDescription()
    description.chatTemplate = vocabulary.chatTemplate
    description.endOfText = vocabulary.endOfText
    // Without one of its own the file names the end's.
    description.beginning =
      vocabulary.addsBeginning || vocabulary.beginning != vocabulary.endOfText ? vocabulary.beginning : nil
    for key in ServingModel.answeringKeys {
      if let value = file.metadata[key] { description.metadata.append((key, value)) }
    }
    self.description = description
  }
}
