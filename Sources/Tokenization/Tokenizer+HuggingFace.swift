public import Topics

extension Tokenizer {
  /// The largest `tokenizer.json` that is read, in bytes.
  public static let maximumFileBytes = 64 << 20
  /// The most tokens that are read.
  static let maximumTokens = 1 << 20

  /// Reads a Hugging Face `tokenizer.json`: byte-level BPE with Qwen2's word splitting, and NFC where it is declared.
  ///
  /// - Throws: ``TokenizationError`` `tokenizer_malformed`, `tokenizer_unsupported` for other models, word splittings,
  ///   normalizers or post-processors, `missing_token` where a byte or `<|endoftext|>` has no token.
  public init(huggingFace bytes: [UInt8]) throws(TokenizationError) {
    let json: JSON
    do throws(JSONError) {
      json = try JSON.parse(bytes, maximumBytes: Self.maximumFileBytes)
    } catch {
      throw TokenizationError.malformed("tokenizer.json", "valid JSON", error.description)
    }
    let file = HuggingFaceTokenizerFile(json: json)
    let normalizes = try file.checkPipeline()
    let vocabulary = try file.vocabulary()
    try self.init(
      pieces: vocabulary.pieces, merges: try file.merges(vocabulary.ids),
      added: try file.added(vocabulary.pieces), normalizesToNFC: normalizes)
  }

  /// The bytes of a Hugging Face `tokenizer.json`, the same for the same tokenizer.
  public var huggingFaceJSON: [UInt8] { huggingFaceObject.bytes }

  /// SHA-256 of the canonical form (RFC 8785) of ``huggingFaceJSON``: the name of this tokenizer. Takes as long as writing.
  public var digest: Digest { .sha256(huggingFaceObject.canonical) }

  private var huggingFaceObject: JSON {
    let byteLevel: JSON = ["type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false]
    let split: JSON = [
      "type": "Split", "pattern": ["Regex": .string(PreTokenizer.pattern)], "behavior": "Isolated", "invert": false,
    ]
    var vocabulary = JSONObject()
    for (id, piece) in pieces.enumerated() {
      if let piece { vocabulary[ByteAlphabet.text(piece)] = .integer(Int64(id)) }
    }
    return [
      "version": "1.0", "truncation": nil, "padding": nil, "added_tokens": .array(added.map(Self.json)),
      "normalizer": normalizesToNFC ? ["type": "NFC"] : nil,
      "pre_tokenizer": ["type": "Sequence", "pretokenizers": [split, byteLevel]],
      "post_processor": byteLevel, "decoder": byteLevel,
      "model": [
        "type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": "", "end_of_word_suffix": "",
        "fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": .object(vocabulary),
        "merges": .array(mergeTexts.map(JSON.string)),
      ],
    ]
  }

  /// The merges as pairs in the byte alphabet with a space between.
  var mergeTexts: [String] {
    merges.map { ByteAlphabet.text(literal($0.left)) + " " + ByteAlphabet.text(literal($0.right)) }
  }

  private static func json(_ token: Added) -> JSON {
    [
      "id": .integer(Int64(token.id)), "content": .string(token.text), "single_word": false, "lstrip": false,
      "rstrip": false, "normalized": false, "special": .bool(token.kind == .control),
    ]
  }
}

extension TokenizationError {
  static func malformed(_ context: String, _ expected: String, _ found: String) -> TokenizationError {
    TokenizationError(
      .malformed, context: context, expected: expected, found: found, advice: "fetch or write the tokenizer again")
  }
}
