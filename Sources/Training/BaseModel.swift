public import ModelFiles
import StudentModel
public import Tokenization
public import Topics

/// A pretrained model to fine-tune, its vocabulary extended by the structure tokens of a task.
///
/// Each structure token starts as the mean of the pieces that spell it (Reference: Hewitt 2021, "Initializing new word
/// embeddings for pretrained language models"). The base's own template stays.
public struct BaseModel {
  /// The sizes, with as many rows of the embedding as tokens.
  public let configuration: DecoderConfiguration
  /// The tokenizer, structure tokens included.
  public let tokenizer: Tokenizer
  /// The SHA-256 of weights, sizes and tokenizer as they were before the extension.
  public let digest: Digest
  /// A student with the extended weights; the first trainer that starts from this value takes it over.
  let student: Student

  /// Reads a Hugging Face folder.
  ///
  /// - Throws: `ModelFileError`, `TokenizationError`; ``TrainingError`` `invalid_base` where the folder has no tokenizer.
  public init(folder path: String, functions: FunctionSet) throws {
    let folder = try HuggingFaceFolder.read(path)
    guard let json = folder.tokenizerJSON else {
      throw TrainingError(
        .invalidBase, context: path, expected: "a tokenizer.json", found: "none",
        advice: "add the tokenizer that belongs to the model")
    }
    let functions = try functions.inCanonicalOrder()
    let plain = try Tokenizer(huggingFace: json)
    let extended = try plain.adding(structure: CallCodec.structureTokens(for: functions))
    var sizes = folder.configuration
    guard plain.vocabularySize <= sizes.vocabularySize else {
      throw TrainingError(
        .invalidBase, context: path, expected: "at most \(sizes.vocabularySize) tokens, as the embedding has rows",
        found: "\(plain.vocabularySize)", advice: "use the tokenizer that belongs to the model")
    }
    let base = UnsafeMutableBufferPointer<Float>.allocate(capacity: sizes.parameterCount)
    defer { base.deallocate() }
    try folder.copyParameters(into: base)
    var stream = Digest.Stream()
    stream.update(UnsafeRawBufferPointer(base))
    stream.update(CheckpointHeader.json(sizes).canonical)
    stream.update(plain.digest.bytes)
    digest = stream.digest
    let source = ParameterLayout(sizes)
    sizes.vocabularySize = max(sizes.vocabularySize, (extended.vocabularySize + 31) / 32 * 32)
    configuration = sizes
    tokenizer = extended
    student = try Student(configuration: sizes, seed: 0)
    for entry in student.layout.entries {
      guard let old = source[entry.name] else { continue }
      let target = student.parameters(entry)
      let given = UnsafeMutableBufferPointer(rebasing: base[old.range])
      _ = target.update(fromContentsOf: given)
      if old.count < entry.count || entry.shape.first == sizes.vocabularySize {
        Self.extend(
          target, width: sizes.hiddenSize, plain: plain, extended: extended, rows: old.count / sizes.hiddenSize)
      }
    }
  }

  /// Fills the rows of new tokens with the mean of their pieces, and rows that no token uses with zero where they are new.
  private static func extend(
    _ rows: UnsafeMutableBufferPointer<Float>, width: Int, plain: Tokenizer, extended: Tokenizer, rows old: Int
  ) {
    guard rows.count >= extended.vocabularySize * width else { return }
    for index in old * width..<max(old * width, rows.count) { rows[index] = 0 }
    for id in plain.vocabularySize..<extended.vocabularySize where extended.kind(of: Int32(id)) == .structure {
      let pieces = plain.encode(String(decoding: extended.bytes(of: Int32(id)), as: UTF8.self))
      guard !pieces.isEmpty else { continue }
      for channel in 0..<width {
        var sum: Float = 0
        for piece in pieces { sum += rows[Int(piece) * width + channel] }
        rows[id * width + channel] = sum / Float(pieces.count)
      }
    }
  }
}
