public import Topics

extension Tokenizer {
  /// The largest `tokenizer.json` that is read, in bytes.
  public static let maximumFileBytes = 64 << 20
  /// The most tokens that are read.
  static let maximumTokens = 1 << 20

  /// Reads a Hugging Face `tokenizer.json`: byte-level BPE of the GPT-2, Llama 3 or Qwen2 kind.
  ///
  /// Known are: the normalizer NFC; the pre-tokenizers ByteLevel, Split by the three regular expressions, Digits, and Sequences of
  /// them; the post-processors ByteLevel and TemplateProcessing; merges as texts or as pairs; `ignore_merges`; and what added
  /// tokens say of how they are found. As every byte must have a token, an unknown token is never needed. Truncation and padding, which
  /// `save_pretrained` leaves there as the last batch had them, are not looked at: no text is cut or filled up.
  ///
  /// - Throws: ``TokenizationError`` `tokenizer_malformed`; `tokenizer_unsupported` for anything else that would change ids, by
  ///   name; `missing_token` where a byte, or what ends a text, has no token.
  public init(huggingFace bytes: [UInt8]) throws(TokenizationError) {
    let json: JSON
    do throws(JSONError) {
      json = try JSON.parse(bytes, maximumBytes: Self.maximumFileBytes)
    } catch {
      throw TokenizationError.malformed("tokenizer.json", "valid JSON", error.description)
    }
    let file = HuggingFaceTokenizerFile(json: json)
    let vocabulary = try file.vocabulary()
    let added = try file.added(vocabulary.pieces)
    let count = max(vocabulary.pieces.count, (added.last.map { Int($0.id) } ?? -1) + 1)
    try self.init(
      pieces: vocabulary.pieces, merges: try file.merges(vocabulary.ids), added: added,
      pipeline: try file.pipeline(count: count))
  }

  /// The bytes of a Hugging Face `tokenizer.json`, the same for the same tokenizer.
  public var huggingFaceJSON: [UInt8] { huggingFaceObject.bytes }

  /// SHA-256 of the canonical form (RFC 8785) of ``huggingFaceJSON``: the name of this tokenizer. Takes as long as writing.
  public var digest: Digest { .sha256(huggingFaceObject.canonical) }

  /// The digest of the tokenizer without its structure tokens: tokenizers with the same one give text the same ids, whatever task's
  /// structure was added to them.
  public var textDigest: Digest { .sha256(huggingFaceObject(added: added.filter { $0.kind != .structure }).canonical) }

  private var huggingFaceObject: JSON { huggingFaceObject(added: added) }

  private func huggingFaceObject(added: [Added]) -> JSON {
    var vocabulary = JSONObject()
    for (id, piece) in pieces.enumerated() {
      if let piece { vocabulary[ByteAlphabet.text(piece)] = .integer(Int64(id)) }
    }
    return [
      "version": "1.0", "truncation": nil, "padding": nil, "added_tokens": .array(added.map(Self.json)),
      "normalizer": normalizesToNFC ? ["type": "NFC"] : nil, "pre_tokenizer": preTokenizerJSON,
      "post_processor": postProcessorJSON, "decoder": Self.byteLevel(splitsWords: false),
      "model": [
        "type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": "", "end_of_word_suffix": "",
        "fuse_unk": false, "byte_fallback": false, "ignore_merges": .bool(pipeline.ignoresMerges),
        "vocab": .object(vocabulary), "merges": .array(mergeTexts.map(JSON.string)),
      ],
    ]
  }

  private static func byteLevel(splitsWords: Bool) -> JSON {
    ["type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": .bool(splitsWords)]
  }

  private var preTokenizerJSON: JSON {
    let isSplitByByteLevel = pipeline.splits.last == .gpt2
    var steps = pipeline.splits.dropLast(isSplitByByteLevel ? 1 : 0).map { split -> JSON in
      if case .digits(let individual) = split { return ["type": "Digits", "individual_digits": .bool(individual)] }
      return [
        "type": "Split", "pattern": ["Regex": .string(split.pattern ?? "")], "behavior": "Isolated", "invert": false,
      ]
    }
    steps.append(Self.byteLevel(splitsWords: isSplitByByteLevel))
    return steps.count == 1 ? steps[0] : ["type": "Sequence", "pretokenizers": .array(steps)]
  }

  private var postProcessorJSON: JSON {
    let byteLevel = Self.byteLevel(splitsWords: false)
    guard !pipeline.prefix.isEmpty || !pipeline.suffix.isEmpty else { return byteLevel }
    func special(_ ids: [Int32], _ type: Int64) -> [JSON] {
      ids.map { ["SpecialToken": ["id": .string(name(of: $0)), "type_id": .integer(type)]] }
    }
    func single(_ name: String, _ type: Int64) -> [JSON] {
      special(pipeline.prefix, type) + [["Sequence": ["id": .string(name), "type_id": .integer(type)]]]
        + special(pipeline.suffix, type)
    }
    var tokens = JSONObject()
    for id in pipeline.prefix + pipeline.suffix {
      let name = name(of: id)
      tokens[name] = ["id": .string(name), "ids": [.integer(Int64(id))], "tokens": [.string(name)]]
    }
    let template: JSON = [
      "type": "TemplateProcessing", "single": .array(single("A", 0)), "pair": .array(single("A", 0) + single("B", 1)),
      "special_tokens": .object(tokens),
    ]
    return ["type": "Sequence", "processors": [byteLevel, template]]
  }

  /// The token as tokenizer files write it.
  private func name(of id: Int32) -> String {
    kind(of: id) == .piece ? ByteAlphabet.text(literal(id)) : String(decoding: literal(id), as: UTF8.self)
  }

  /// The merges as pairs in the byte alphabet with a space between.
  var mergeTexts: [String] {
    model.merges.map { ByteAlphabet.text(literal($0.left)) + " " + ByteAlphabet.text(literal($0.right)) }
  }

  private static func json(_ token: Added) -> JSON {
    [
      "id": .integer(Int64(token.id)), "content": .string(token.text),
      "single_word": .bool(token.options.isSingleWord), "lstrip": .bool(token.options.stripsLeft),
      "rstrip": .bool(token.options.stripsRight), "normalized": .bool(token.options.isNormalized),
      "special": .bool(token.kind == .control),
    ]
  }
}

extension TokenizationError {
  static func malformed(_ context: String, _ expected: String, _ found: String) -> TokenizationError {
    TokenizationError(
      .malformed, context: context, expected: expected, found: found, advice: "fetch or write the tokenizer again")
  }
}
