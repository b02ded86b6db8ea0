public import ModelFiles
public import Tokenization
public import Topics

/// A student ready to answer: weights, tokenizer, functions and their grammar. Immutable; shared by any number of decoders.
public final class ServingModel: Sendable {
  /// The metadata key that holds a student's functions: a JSON array of tool definitions, as text.
  public static let functionsKey = "retort.functions"

  /// The metadata key that says whether values are whole words of the request: true or false.
  public static let wholeWordsKey = "retort.whole_words"

  /// The metadata key that says how many beginnings are followed besides the greedy one where an answer is unsure: 0…1,000.
  public static let alternativesKey = "retort.alternatives"

  /// The metadata key that says how many tokens an answer has at most; 256 where there is none.
  public static let answerTokensKey = "retort.answer_tokens"

  /// The metadata that say how a student answers, whatever its weights are kept in.
  public static let answeringKeys = [wholeWordsKey, alternativesKey, answerTokensKey]

  /// The weights.
  public let model: DecoderModel
  /// The tokenizer.
  public let tokenizer: Tokenizer
  /// Requests to prompts, answers to calls.
  public let codec: CallCodec
  /// The functions that answers may call.
  public let functions: FunctionSet
  /// All legal answers.
  public let grammar: AnswerGrammar
  /// Whether string values that are pieces of the request begin and end with a word, as those that the student learned do.
  public let answersInWholeWords: Bool
  /// How many beginnings are followed besides the greedy one where an answer is unsure, if ``DecodeOptions`` do not say.
  public let alternatives: Int
  /// How many tokens an answer has at most, if ``DecodeOptions`` do not say.
  public let answerTokens: Int
  /// Texts and numbers under `retort.*` in the file: functions, digests, template, numerics, how to decode.
  public let metadata: [String: GGUFValue]
  let vocabulary: ConstraintVocabulary

  /// The sizes and constants of the decoder.
  public var configuration: DecoderConfiguration { model.configuration }

  /// The size in bytes: of the file, or of the fp32 parameters.
  public var byteCount: Int { model.byteCount }

  /// Opens a student's GGUF file: weights, tokenizer and functions.
  ///
  /// - Parameters:
  ///   - path: The file; it is mapped and must not change while the model lives.
  ///   - functions: The functions, where the file has none or others are wanted; default: those in the file.
  ///   - shared: Where packed weights are shared with other processes; nil: they are this process's own.
  /// - Throws: ``InferenceError`` as ``DecoderModel/init(gguf:)``; `bad_metadata` where there are no functions, `bad_schema`
  ///   where they cannot be compiled.
  public convenience init(
    gguf path: String, functions: FunctionSet? = nil, shared: SharedWeights? = nil
  ) throws(InferenceError) {
    let file = try DecoderModel.open(path)
    let model = try DecoderModel(file: file, shared: shared)
    let own = file.metadata.filter { $0.key.hasPrefix("retort.") }
    var chosen = functions
    if chosen == nil { chosen = try Self.functions(in: own[Self.functionsKey], of: file.name) }
    guard let chosen else { throw Self.badFunctions("nothing", file.name) }
    try self.init(model: model, functions: chosen, metadata: own)
  }

  /// Serves fp32 parameters in canonical order, which are copied: a student in training.
  ///
  /// - Throws: ``InferenceError`` as ``DecoderModel/init(configuration:parameters:tokenizer:)``, and `bad_schema`.
  public convenience init(
    configuration: DecoderConfiguration, parameters: UnsafeBufferPointer<Float>, tokenizer: Tokenizer,
    functions: FunctionSet
  ) throws(InferenceError) {
    try self.init(
      model: DecoderModel(configuration: configuration, parameters: parameters, tokenizer: tokenizer),
      functions: functions)
  }

  /// Serves fp32 parameters as they are written, one after the other: a student in training whose weights are not all in memory.
  ///
  /// - Throws: ``InferenceError`` as ``DecoderModel/init(configuration:tokenizer:parameters:)``, and `bad_schema`.
  public convenience init(
    configuration: DecoderConfiguration, tokenizer: Tokenizer, functions: FunctionSet,
    parameters write: @escaping (_ name: String, _ values: UnsafeMutableBufferPointer<Float>) -> Void
  ) throws(InferenceError) {
    try self.init(
      model: DecoderModel(configuration: configuration, tokenizer: tokenizer, parameters: write), functions: functions)
  }

  /// Serves a decoder that is there already.
  ///
  /// - Throws: ``InferenceError`` `bad_tokenizer` where the model has no tokenizer or one without the template's controls,
  ///   `bad_schema` where the functions cannot be compiled, `bad_metadata` where they say how to answer and cannot be followed.
  public init(
    model: DecoderModel, functions: FunctionSet, metadata: [String: GGUFValue] = [:]
  ) throws(InferenceError) {
    guard let tokenizer = model.tokenizer else {
      throw InferenceError(
        .badTokenizer, context: "model", expected: "a tokenizer", found: "none",
        advice: "load the model with its tokenizer")
    }
    do throws(TokenizationError) {
      codec = try CallCodec(tokenizer: tokenizer, functions: functions)
    } catch {
      throw InferenceError(
        .badTokenizer, context: error.context, expected: error.expected, found: error.found, advice: error.advice)
    }
    self.model = model
    self.tokenizer = tokenizer
    self.functions = functions
    self.metadata = metadata
    answersInWholeWords = metadata[Self.wholeWordsKey]?.boolean ?? false
    alternatives =
      try Self.number(Self.alternativesKey, in: metadata, DecodeOptions.alternativesRange)
      ?? DecodeOptions.standardAlternatives
    answerTokens =
      try Self.number(Self.answerTokensKey, in: metadata, DecodeOptions.answerTokensRange)
      ?? DecodeOptions.standardAnswerTokens
    grammar = try AnswerGrammar(functions)
    vocabulary = Self.vocabulary(of: tokenizer, functions)
  }

  private static func functions(in value: GGUFValue?, of file: String) throws(InferenceError) -> FunctionSet {
    guard let text = value?.string else { throw badFunctions(value == nil ? "nothing" : "another kind of value", file) }
    let json: JSON
    do throws(JSONError) { json = try JSON.parse(text) } catch { throw badFunctions(error.description, file) }
    do throws(TopicError) { return try FunctionSet(json: json) } catch { throw badFunctions("\(error)", file) }
  }

  private static func number(
    _ key: String, in metadata: [String: GGUFValue], _ range: ClosedRange<Int>
  ) throws(InferenceError) -> Int? {
    guard let value = metadata[key] else { return nil }
    guard let count = value.integer, range.contains(count) else {
      throw InferenceError(
        .badMetadata, context: key,
        expected: "a whole number from \(range.lowerBound) to \(range.upperBound)",
        found: value.integer.map { "\($0)" } ?? "another kind of value", advice: "use a file that retort released")
    }
    return count
  }

  private static func badFunctions(_ found: String, _ file: String) -> InferenceError {
    InferenceError(
      .badMetadata, context: "\(file), \(functionsKey)", expected: "the JSON text of tool definitions", found: found,
      advice: "make the file with `retort compress --functions FILE`, or use one that retort released")
  }

  static func vocabulary(of tokenizer: Tokenizer, _ functions: FunctionSet) -> ConstraintVocabulary {
    let bytes = (0..<Int32(tokenizer.vocabularySize)).map { tokenizer.bytes(of: $0) }
    var structure = Set(CallCodec.structureTokens(for: functions).compactMap { tokenizer.structure($0) })
    structure.formUnion(bytes.indices.map(Int32.init).filter { tokenizer.kind(of: $0) == .structure })
    return ConstraintVocabulary(
      bytes: bytes, structure: structure, texts: structure.filter { tokenizer.kind(of: $0) == .piece })
  }

  /// What a request adds to the grammar; its texts are as the tokenizer reads them, since values are pieces of what was read.
  func context(of messages: [ChatMessage], wholeWords: Bool, functions: Set<String>? = nil) -> RequestContext {
    RequestContext(
      grammar: grammar, texts: messages.map { tokenizer.normalized($0.content) }, wholeWords: wholeWords,
      functions: functions)
  }

  /// The logits after each of `tokens`: one array of `vocabularySize` values a token.
  ///
  /// - Throws: ``InferenceError`` as ``DecoderModel/logits(tokens:)``.
  public func logits(tokens: [Int32]) throws(InferenceError) -> [[Float]] { try model.logits(tokens: tokens) }
}
