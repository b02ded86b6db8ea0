public import ModelFiles
public import Tokenization

/// A decoder's weights, immutable and shared by all who use it: what it takes to compute logits.
///
/// A ``ServingModel`` adds the functions that make its tokens calls.
public final class DecoderModel: Sendable {
  /// The sizes and constants.
  public let configuration: DecoderConfiguration
  /// The tokenizer, where the source has one.
  public let tokenizer: Tokenizer?
  /// The size in bytes: of the file, or of the fp32 parameters.
  public let byteCount: Int
  /// Where the packed weights are.
  public let placement: WeightPlacement
  let weights: ModelWeights

  /// Opens a GGUF file: architecture qwen2 or llama; matrices in F32, F16, BF16, Q8_0, Q4_0, Q4_K or Q6_K, of exactly the shapes
  /// that the metadata say, all values finite; a byte-level BPE tokenizer that fits the vocabulary.
  ///
  /// - Parameters:
  ///   - path: The file; it is mapped and must not change while the model lives.
  ///   - shared: Where packed weights are shared with other processes; nil: they are this process's own.
  /// - Throws: ``InferenceError`` `unreadable`, `bad_file`, `bad_metadata`, `bad_tensor`, `bad_tokenizer`, `unsupported`.
  public convenience init(gguf path: String, shared: SharedWeights? = nil) throws(InferenceError) {
    try self.init(file: Self.open(path), shared: shared)
  }

  /// Uses fp32 parameters in canonical order (`configuration.parameters`); they are copied, and must stay in place
  /// only during the call.
  ///
  /// - Throws: ``InferenceError`` `bad_metadata` for an impossible configuration, `bad_argument` where the count differs,
  ///   `bad_tensor` for values that are not finite, `bad_tokenizer` where the tokenizer has more tokens than the model.
  public convenience init(
    configuration: DecoderConfiguration, parameters: UnsafeBufferPointer<Float>, tokenizer: Tokenizer? = nil
  ) throws(InferenceError) {
    try self.init(configuration, tokenizer) { () throws(InferenceError) in
      try WrittenWeights(configuration, parameters)
    }
  }

  /// Uses fp32 parameters as they are written, one after the other: they need not be in memory all at once.
  ///
  /// - Parameter write: writes all values of the parameter of a name (`configuration.parameters`); called once for each.
  /// - Throws: ``InferenceError`` as for parameters in one buffer.
  public convenience init(
    configuration: DecoderConfiguration, tokenizer: Tokenizer? = nil,
    parameters write: @escaping (_ name: String, _ values: UnsafeMutableBufferPointer<Float>) -> Void
  ) throws(InferenceError) {
    try self.init(configuration, tokenizer) { () throws(InferenceError) in WrittenWeights(write) }
  }

  private init(
    _ configuration: DecoderConfiguration, _ tokenizer: Tokenizer?,
    _ source: () throws(InferenceError) -> WrittenWeights
  ) throws(InferenceError) {
    do throws(ModelFileError) { try configuration.validate() } catch { throw InferenceError(error) }
    try Self.check(tokenizer, configuration, "parameters")
    weights = try ModelWeights(configuration, from: source())
    self.configuration = configuration
    self.tokenizer = tokenizer
    placement = .own
    byteCount = configuration.parameters.reduce(0) { $0 + $1.shape.reduce(1, *) } * MemoryLayout<Float>.stride
  }

  init(file: GGUFFile, shared: SharedWeights? = nil) throws(InferenceError) {
    do throws(ModelFileError) {
      configuration = try file.decoderConfiguration()
    } catch {
      throw InferenceError(error)
    }
    let tokenizer = try Self.tokenizer(of: file)
    try Self.check(tokenizer, configuration, file.name)
    self.tokenizer = tokenizer
    if let shared {
      (weights, placement) = try shared.weights(of: file, configuration)
    } else {
      (weights, placement) = (try ModelWeights(configuration, from: FileWeights(file, configuration)), .own)
    }
    file.releasePages()
    byteCount = file.byteCount
  }

  /// Opens a Hugging Face folder of the Qwen2 or the Llama family with weights in F32, F16 or BF16; they are mapped while they are
  /// packed. The tokenizer is read where there is a `tokenizer.json`.
  ///
  /// - Throws: ``InferenceError`` as for a GGUF file.
  public init(folder path: String) throws(InferenceError) {
    let folder: HuggingFaceFolder
    do throws(ModelFileError) { folder = try HuggingFaceFolder.read(path) } catch { throw InferenceError(error) }
    configuration = folder.configuration
    do throws(TokenizationError) {
      tokenizer = try folder.tokenizerJSON.map { (json) throws(TokenizationError) in try Tokenizer(huggingFace: json) }
    } catch {
      throw InferenceError(
        .badTokenizer, context: "\(path), \(error.context)", expected: error.expected, found: error.found,
        advice: error.advice)
    }
    try Self.check(tokenizer, configuration, path)
    weights = try ModelWeights(configuration, from: FileWeights(folder))
    placement = .own
    byteCount = folder.byteCount
  }

  static func open(_ path: String) throws(InferenceError) -> GGUFFile {
    do throws(ModelFileError) { return try GGUFFile(path: path) } catch { throw InferenceError(error) }
  }

  private static func tokenizer(of file: GGUFFile) throws(InferenceError) -> Tokenizer {
    let vocabulary: GGUFVocabulary
    do throws(ModelFileError) { vocabulary = try file.vocabulary() } catch { throw InferenceError(error) }
    do throws(TokenizationError) {
      return try Tokenizer(vocabulary)
    } catch {
      throw InferenceError(
        .badTokenizer, context: "\(file.name), \(error.context)", expected: error.expected, found: error.found,
        advice: error.advice)
    }
  }

  private static func check(
    _ tokenizer: Tokenizer?, _ configuration: DecoderConfiguration, _ context: String
  ) throws(InferenceError) {
    guard let tokenizer, tokenizer.vocabularySize > configuration.vocabularySize else { return }
    throw InferenceError(
      .badTokenizer, context: context,
      expected: "at most \(configuration.vocabularySize) tokens, the model's vocabulary",
      found: "\(tokenizer.vocabularySize)", advice: "use the tokenizer that the model was trained with")
  }

  /// The logits after each of `tokens`: one array of `vocabularySize` values a token.
  ///
  /// For tests and for measuring; an answer needs only the last row. Memory: tokens × vocabulary floats.
  ///
  /// - Throws: ``InferenceError`` `bad_argument` for a token outside the vocabulary, `too_long` above `maximumPositions`.
  public func logits(tokens: [Int32]) throws(InferenceError) -> [[Float]] {
    guard !tokens.isEmpty else { return [] }
    let pass = ForwardPass(self)
    let cache = KeyValueCache(configuration)
    let size = configuration.vocabularySize
    return try pass.run([ForwardPass.Segment(cache: cache, tokens: tokens, output: .all)]) { values in
      tokens.indices.map { Array(UnsafeBufferPointer(start: values + $0 * size, count: size)) }
    }
  }
}
