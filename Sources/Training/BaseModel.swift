public import ModelFiles
import StudentModel
public import Tokenization
public import Topics

/// A pretrained model to fine-tune, its vocabulary extended by the structure tokens of a task.
///
/// Each structure token starts as the mean of the pieces that spell it (Reference: Hewitt 2021, "Initializing new word
/// embeddings for pretrained language models"). Prompts are written in the template whose controls the tokenizer has,
/// whatever template the base brings along.
public struct BaseModel {
  /// The sizes, with as many rows of the embedding as tokens.
  public let configuration: DecoderConfiguration
  /// The tokenizer, structure tokens included.
  public let tokenizer: Tokenizer
  /// The SHA-256 of weights, sizes and tokenizer as they were before the extension.
  public let digest: Digest
  private let folder: HuggingFaceFolder
  private let source: ParameterLayout
  private let plain: Tokenizer

  /// Reads a Hugging Face folder.
  ///
  /// - Throws: `ModelFileError`, `TokenizationError`; ``TrainingError`` `invalid_base` where the folder has no tokenizer.
  public init(folder path: String, functions: FunctionSet) throws {
    let structure = CallCodec.structureTokens(for: try functions.inCanonicalOrder())
    try self.init(folder: path) { _ in structure }
  }

  /// Reads a Hugging Face folder; `structure` says which tokens its tokenizer gets, and `rows` how many rows its embedding has
  /// then, as long as no token goes beyond them; `nil` for its own, and more where the new tokens need them.
  init(folder path: String, rows: Int? = nil, structure: (Tokenizer) throws -> [String]) throws {
    let folder = try HuggingFaceFolder.read(path)
    guard let json = folder.tokenizerJSON else { throw Self.noTokenizer(path) }
    let plain = try Tokenizer(huggingFace: json)
    let extended = try plain.adding(structure: structure(plain))
    // What cannot be asked or released is not trained.
    do throws(TokenizationError) {
      _ = try CallCodec.template(of: extended)
      _ = try extended.asInGGUF()
    } catch {
      throw TokenizationError(
        error.code, context: "\(path), \(error.context)", expected: error.expected, found: error.found,
        advice: error.advice)
    }
    var sizes = folder.configuration
    guard plain.vocabularySize <= sizes.vocabularySize else {
      throw TrainingError(
        .invalidBase, context: path, expected: "at most \(sizes.vocabularySize) tokens, as the embedding has rows",
        found: "\(plain.vocabularySize)", advice: "use the tokenizer that belongs to the model")
    }
    source = ParameterLayout(sizes)
    digest = try Self.digest(folder, source, sizes: sizes, tokenizer: plain)
    sizes.vocabularySize = max(
      rows ?? max(sizes.vocabularySize, (extended.vocabularySize + 31) / 32 * 32), extended.vocabularySize)
    configuration = sizes
    tokenizer = extended
    (self.folder, self.plain) = (folder, plain)
  }

  /// Whether the model of a tokenizer is a pretrained one, or was made of one: its prompts are ChatML's. Students from scratch have
  /// their own.
  public static func isPretrained(_ tokenizer: Tokenizer) -> Bool {
    (try? CallCodec.template(of: tokenizer))?.template == .chatML
  }

  /// The same of the model in a folder, of which the tokenizer alone is read. One that cannot be read counts as pretrained: who
  /// reads the model says what is wrong.
  public static func isPretrained(folder path: String) -> Bool {
    guard let json = try? HuggingFaceFolder.tokenizer(in: path), let tokenizer = try? Tokenizer(huggingFace: json)
    else { return true }
    return isPretrained(tokenizer)
  }

  static func noTokenizer(_ path: String) -> TrainingError {
    TrainingError(
      .invalidBase, context: path, expected: "a tokenizer.json", found: "none",
      advice: "add the tokenizer that belongs to the model")
  }

  /// Writes one tensor of ``configuration`` as it is after the extension, read from the mapped file.
  ///
  /// - Throws: `ModelFileError` for a tensor that cannot be read as numbers.
  func copy(_ entry: ParameterLayout.Entry, into weights: UnsafeMutablePointer<Float>) throws {
    guard let old = source[entry.name] else { return }
    let tensor = try folder.tensor(entry.name)
    if old.count > entry.count {
      // No token has the rows beyond: models of one family are padded to different numbers.
      let all = try tensor.floats()
      _ = UnsafeMutableBufferPointer(start: weights, count: entry.count).update(fromContentsOf: all[..<entry.count])
    } else {
      try tensor.copyFloats(into: UnsafeMutableBufferPointer(start: weights, count: old.count))
    }
    // By name: a feed-forward matrix may have as many rows.
    if Student.vocabularyTables.contains(entry.name) {
      Self.extend(
        UnsafeMutableBufferPointer(start: weights, count: entry.count), width: configuration.hiddenSize, plain: plain,
        extended: tokenizer, rows: old.count / configuration.hiddenSize)
    }
  }

  /// Of all weights as little-endian fp32 in canonical order, then sizes, then the tokenizer's digest.
  private static func digest(
    _ folder: HuggingFaceFolder, _ layout: ParameterLayout, sizes: DecoderConfiguration, tokenizer: Tokenizer
  ) throws -> Digest {
    let largest = UnsafeMutableBufferPointer<Float>.allocate(capacity: layout.entries.map(\.count).max() ?? 1)
    defer { largest.deallocate() }
    var stream = Digest.Stream()
    for entry in layout.entries {
      let tensor = UnsafeMutableBufferPointer(rebasing: largest[..<entry.count])
      try folder.tensor(entry.name).copyFloats(into: tensor)
      stream.update(UnsafeRawBufferPointer(tensor))
    }
    stream.update(CheckpointHeader.json(sizes).canonical)
    stream.update(tokenizer.digest.bytes)
    return stream.digest
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
