public import ModelFiles

extension Tokenizer {
  /// Reads the vocabulary of a GGUF file (`tokenizer.ggml.*`, model "gpt2").
  ///
  /// - Parameters:
  ///   - tokens: by id; pieces in GPT-2's byte alphabet, all others as they are. Unused ones at the end are dropped.
  ///   - types: by id: 1 piece, 3 control, 4 added token that prints its text, 5 unused.
  ///   - merges: pairs with a space between, in order of rank.
  ///   - preTokenizer: llama.cpp's name of how text is split: "qwen2", "llama-bpe", "gpt-2" or "smollm".
  ///   - prefix: the ids that are put before a text, such as Llama 3's `<|begin_of_text|>`.
  ///   - normalizesToNFC: what the tokenizer declared before it went into the file, which cannot say it.
  /// - Throws: ``TokenizationError`` `tokenizer_malformed`, `missing_token`; `tokenizer_unsupported` for other names.
  public init(
    ggufTokens tokens: [String], types: [Int32], merges: [String], preTokenizer: String = "qwen2",
    prefix: [Int32] = [], normalizesToNFC: Bool = false
  ) throws(TokenizationError) {
    guard tokens.count == types.count, tokens.count <= Self.maximumTokens else {
      throw TokenizationError.malformed(
        "GGUF vocabulary", "at most \(Self.maximumTokens) tokens, each with a type",
        "\(tokens.count) and \(types.count)")
    }
    let count = (types.lastIndex { $0 != TokenKind.unused.rawValue } ?? -1) + 1
    var pieces = [[UInt8]?](repeating: nil, count: count)
    var ids: [[UInt8]: Int32] = [:]
    var added: [Added] = []
    var addedTexts: Set<[UInt8]> = []
    for id in 0..<count {
      let text = tokens[id]
      guard let kind = TokenKind(rawValue: types[id]), !text.isEmpty else {
        throw TokenizationError.malformed("token \(id)", "a text and a type 1, 3, 4 or 5", "\"\(text)\", \(types[id])")
      }
      switch kind {
      case .unused: continue
      case .piece:
        guard let bytes = ByteAlphabet.bytes(text), ids.updateValue(Int32(id), forKey: bytes) == nil else {
          throw TokenizationError.malformed("token \(id)", "text of its own in GPT-2's byte alphabet", text)
        }
        pieces[id] = bytes
      case .control, .structure:
        guard addedTexts.insert(Array(text.utf8)).inserted else {
          throw TokenizationError.malformed("token \(id)", "a text of its own", text)
        }
        added.append(Added(id: Int32(id), text: text, kind: kind))
      }
    }
    var reader = MergeReader(ids: ids)
    for merge in merges { try reader.read(merge) }
    while let last = pieces.last, last == nil { pieces.removeLast() }
    guard var pipeline = Self.ggufPipelines.first(where: { $0.name == preTokenizer })?.pipeline,
      prefix.allSatisfy({ (0..<count).contains(Int($0)) })
    else {
      throw TokenizationError(
        .unsupported, context: "tokenizer.ggml.pre",
        expected: "qwen2, llama-bpe, gpt-2 or smollm, and special ids below \(count)",
        found: preTokenizer, advice: "use a model with a tokenizer of the GPT-2, Llama 3 or Qwen2 kind")
    }
    pipeline.normalizesToNFC = normalizesToNFC
    pipeline.prefix = prefix
    try self.init(pieces: pieces, merges: reader.merges, added: added, pipeline: pipeline)
  }

  /// Makes a tokenizer from the vocabulary of a GGUF file.
  ///
  /// - Throws: As ``init(ggufTokens:types:merges:preTokenizer:prefix:normalizesToNFC:)``.
  public init(_ vocabulary: GGUFVocabulary) throws(TokenizationError) {
    try self.init(
      ggufTokens: vocabulary.tokens, types: vocabulary.types, merges: vocabulary.merges,
      preTokenizer: vocabulary.preTokenizer,
      prefix: vocabulary.addsBeginning ? [Int32(vocabulary.beginning)] : [], normalizesToNFC: vocabulary.normalizesToNFC
    )
  }

  /// What llama.cpp's names stand for there.
  private static let ggufPipelines: [(name: String, pipeline: TokenizerPipeline)] = [
    ("qwen2", TokenizerPipeline(splits: [.qwen2])),
    ("llama-bpe", TokenizerPipeline(splits: [.llama3], ignoresMerges: true)),
    ("gpt-2", TokenizerPipeline(splits: [.gpt2])),
    ("smollm", TokenizerPipeline(splits: [.digits(individual: true), .gpt2])),
  ]

  /// llama.cpp's name of how text is split.
  ///
  /// - Throws: ``TokenizationError`` `tokenizer_unsupported` where it has none for that.
  public func ggufPreTokenizer() throws(TokenizationError) -> String {
    let known = Self.ggufPipelines.first {
      $0.pipeline.splits == pipeline.splits && $0.pipeline.ignoresMerges == pipeline.ignoresMerges
    }
    guard let known else {
      throw TokenizationError(
        .unsupported, context: "tokenizer in GGUF", expected: "text split as in qwen2, llama-bpe, gpt-2 or smollm",
        found: pipeline.splits.map(\.name).joined(separator: " and ")
          + (pipeline.ignoresMerges ? ", ignore_merges" : ""),
        advice: "use a model whose tokenizer splits like one of these")
    }
    return known.name
  }

  /// The tokenizer as it is read from a GGUF file that it is written into.
  ///
  /// Text has the same ids there. What such a file cannot say is gone: how added tokens are found in text, that they are rows of
  /// the vocabulary too, and what is put around a text.
  ///
  /// - Parameter addsBeginning: whether the file says that ``beginning`` is put before a text.
  /// - Throws: ``TokenizationError`` `tokenizer_unsupported` where text would have other ids there, or none.
  public func asInGGUF(addsBeginning: Bool = false) throws(TokenizationError) -> Tokenizer {
    let preTokenizer = try ggufPreTokenizer()
    do throws(TokenizationError) {
      return try Tokenizer(
        ggufTokens: ggufTokens, types: ggufTypes, merges: ggufMerges, preTokenizer: preTokenizer,
        prefix: addsBeginning ? beginning.map { [$0] } ?? [] : [], normalizesToNFC: normalizesToNFC)
    } catch {
      throw TokenizationError(
        .unsupported, context: "tokenizer in GGUF, \(error.context)", expected: error.expected, found: error.found,
        advice: "take out of added_tokens in tokenizer.json what merges or single bytes give too")
    }
  }

  /// The tokens by id as GGUF writes them: pieces in GPT-2's byte alphabet, all others as they are.
  public var ggufTokens: [String] {
    kinds.indices.map { id in
      switch kinds[id] {
      case .piece: ByteAlphabet.text(literal(Int32(id)))
      case .control, .structure: String(decoding: literal(Int32(id)), as: UTF8.self)
      case .unused: "[PAD\(id)]"
      }
    }
  }

  /// The type of each token as GGUF writes it: 1 piece, 3 control, 4 structure, 5 unused.
  public var ggufTypes: [Int32] { kinds.map(\.rawValue) }

  /// The merges in order of rank as GGUF writes them.
  public var ggufMerges: [String] { mergeTexts }
}
