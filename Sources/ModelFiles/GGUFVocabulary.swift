/// A byte-level BPE vocabulary as a GGUF file holds it, in llama.cpp's conventions.
public struct GGUFVocabulary: Sendable, Hashable {
  /// What the token of an id is (`enum llama_token_type`).
  public enum TokenType: Int32, Sendable, Hashable {
    /// A piece of text, written in GPT-2's byte alphabet.
    case normal = 1
    /// Never produced by text, printed as nothing.
    case control = 3
    /// An added token: its text is printed and matched literally.
    case userDefined = 4
    /// A row of the embedding that no text uses.
    case unused = 5
  }

  /// The tokens by id: normal ones in GPT-2's byte alphabet, all others as their raw text.
  public var tokens: [String]
  /// The type of each token, a raw value of ``TokenType``; as many as `tokens`.
  public var types: [Int32]
  /// The merges in order of rank, each two tokens with a space between them.
  public var merges: [String]
  /// The id that ends an answer.
  public var endOfText: Int
  /// The id that pads; by default that of the end.
  public var padding: Int
  /// The id that begins a text; by default that of the end.
  public var beginning: Int
  /// Whether ``beginning`` is put before every text, as Llama 3's is; default false.
  public var addsBeginning: Bool
  /// Where text is split before merging; llama.cpp's name of the rule.
  public var preTokenizer: String
  /// The chat template, in Jinja.
  public var chatTemplate: String?
  /// Whether text is put into Unicode's form NFC first, which llama.cpp's keys cannot say: `retort.tokenizer.nfc`.
  public var normalizesToNFC: Bool

  /// Makes a vocabulary; nothing is checked.
  public init(
    tokens: [String], types: [Int32], merges: [String], endOfText: Int, padding: Int? = nil,
    beginning: Int? = nil, addsBeginning: Bool = false, preTokenizer: String = "qwen2", chatTemplate: String? = nil,
    normalizesToNFC: Bool = false
  ) {
    self.tokens = tokens
    self.types = types
    self.merges = merges
    self.endOfText = endOfText
    self.padding = padding ?? endOfText
    self.beginning = beginning ?? endOfText
    self.addsBeginning = addsBeginning
    self.preTokenizer = preTokenizer
    self.chatTemplate = chatTemplate
    self.normalizesToNFC = normalizesToNFC
  }
}

extension GGUFWriter {
  static let normalizationKey = "retort.tokenizer.nfc"

  /// Adds the `tokenizer.*` metadata.
  ///
  /// - Throws: ``ModelFileError`` `invalid_argument` where tokens and types differ in number, an id is outside, or the
  ///   metadata is there already.
  public mutating func set(_ vocabulary: GGUFVocabulary) throws(ModelFileError) {
    let ids = vocabulary.tokens.indices
    guard vocabulary.types.count == ids.count,
      [vocabulary.endOfText, vocabulary.padding, vocabulary.beginning].allSatisfy(ids.contains)
    else {
      throw ModelFileError(
        .invalidArgument, context: "vocabulary", expected: "one type a token, and special ids within \(ids)",
        found:
          "\(vocabulary.types.count) types, ids \(vocabulary.endOfText), \(vocabulary.padding) and \(vocabulary.beginning)",
        advice: "export the vocabulary from the tokenizer")
    }
    try set("tokenizer.ggml.model", .string("gpt2"))
    try set("tokenizer.ggml.pre", .string(vocabulary.preTokenizer))
    try set("tokenizer.ggml.tokens", .strings(vocabulary.tokens))
    try set("tokenizer.ggml.token_type", .integers(vocabulary.types))
    try set("tokenizer.ggml.merges", .strings(vocabulary.merges))
    try set("tokenizer.ggml.eos_token_id", .uint32(UInt32(vocabulary.endOfText)))
    try set("tokenizer.ggml.bos_token_id", .uint32(UInt32(vocabulary.beginning)))
    try set("tokenizer.ggml.padding_token_id", .uint32(UInt32(vocabulary.padding)))
    try set("tokenizer.ggml.add_bos_token", .bool(vocabulary.addsBeginning))
    if let template = vocabulary.chatTemplate { try set("tokenizer.chat_template", .string(template)) }
    if vocabulary.normalizesToNFC { try set(Self.normalizationKey, .bool(true)) }
  }
}

extension GGUFFile {
  /// The vocabulary of the file.
  ///
  /// - Throws: ``ModelFileError`` `missing` or `malformed` where keys are absent, counts disagree or ids are outside;
  ///   `unsupported` for other tokenizers than byte-level BPE.
  public func vocabulary() throws(ModelFileError) -> GGUFVocabulary {
    let model = try entry("tokenizer.ggml.model", \.string)
    guard model == "gpt2" else {
      throw ModelFileError(
        .unsupported, context: "\(name), tokenizer.ggml.model", expected: "\"gpt2\", byte-level BPE",
        found: "\"\(model)\"",
        advice: "use a model with a byte-level BPE tokenizer, such as Qwen2.5")
    }
    let tokens = try entry("tokenizer.ggml.tokens", \.strings)
    let codes = try entry("tokenizer.ggml.token_type", \.integers)
    let types = codes.compactMap { Int32(exactly: $0).flatMap { GGUFVocabulary.TokenType(rawValue: $0)?.rawValue } }
    let end = try entry("tokenizer.ggml.eos_token_id", \.integer)
    let padding = metadata["tokenizer.ggml.padding_token_id"]?.integer ?? end
    guard types.count == tokens.count, codes.count == tokens.count, tokens.indices.contains(end),
      tokens.indices.contains(padding)
    else {
      throw ModelFileError(
        .malformed, context: "\(name), tokenizer",
        expected: "one known type a token, and special ids within the vocabulary",
        found: "\(tokens.count) tokens, \(types.count) types, ids \(end) and \(padding)",
        advice: "fetch or write the file again")
    }
    let preTokenizer = metadata["tokenizer.ggml.pre"]?.string ?? "default"
    // As in llama.cpp, an id outside is none, and Llama 3's is added where the file does not say.
    let beginning = metadata["tokenizer.ggml.bos_token_id"]?.integer.flatMap { tokens.indices.contains($0) ? $0 : nil }
    let adds = metadata["tokenizer.ggml.add_bos_token"]?.boolean ?? (preTokenizer == "llama-bpe")
    return GGUFVocabulary(
      tokens: tokens, types: types, merges: try entry("tokenizer.ggml.merges", \.strings), endOfText: end,
      padding: padding, beginning: beginning, addsBeginning: beginning != nil && adds, preTokenizer: preTokenizer,
      chatTemplate: metadata["tokenizer.chat_template"]?.string,
      normalizesToNFC: metadata[GGUFWriter.normalizationKey]?.boolean ?? false)
  }

  /// A metadata value that must be there and of one kind.
  func entry<T>(_ key: String, _ read: (GGUFValue) -> T?) throws(ModelFileError) -> T {
    guard let value = metadata[key] else {
      throw ModelFileError(
        .missing, context: name, expected: "the metadata \(key)", found: "none", advice: "use a complete model file")
    }
    guard let result = read(value) else {
      throw ModelFileError(
        .malformed, context: "\(name), \(key)", expected: "another kind of value", found: "\(value.kind)",
        advice: "fetch or write the file again")
    }
    return result
  }
}
