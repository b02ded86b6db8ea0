/// A byte-level BPE tokenizer of the GPT-2, Llama 3 or Qwen2 kind, loaded or trained; immutable.
///
/// Ids are pieces of text or added tokens: *controls*, which no text produces and which print nothing, and *structure* tokens,
/// whose text is a literal piece of an answer. Added tokens come above the pieces, or are rows of the vocabulary themselves.
/// ``encode(_:)`` never gives added tokens, whatever the text says, so that a request cannot speak in the name of the template;
/// ``encodeWithAddedTokens(_:addingSpecialTokens:)`` finds them in the text, as Hugging Face's tokenizers does.
///
/// For bytes b, `decode(encode(bytes: b)) == b`, unless the tokenizer declares NFC normalization (Qwen2.5's does; a trained
/// one does not). All operations are pure functions, safe from any number of tasks, linear or n·log n in the bytes.
public struct Tokenizer: Sendable {
  /// What a token is.
  public enum TokenKind: Int32, Sendable, Hashable {
    /// A piece of text.
    case piece = 1
    /// Not produced by text, prints nothing.
    case control = 3
    /// An added token that prints its text.
    case structure = 4
    /// A row of the vocabulary that is not used.
    case unused = 5
  }

  /// An added token: not a result of merges.
  struct Added: Sendable, Hashable {
    let id: Int32
    let text: String
    let kind: TokenKind
    /// Whether merges can give it too.
    var isPiece = false
    var options = Options()

    /// How the token is found in text.
    struct Options: Sendable, Hashable {
      /// Only where no word goes on before or after it.
      var isSingleWord = false
      /// With the white space before it.
      var stripsLeft = false
      /// With the white space after it.
      var stripsRight = false
      /// In normalized text, as its normalized form.
      var isNormalized = false
    }
  }

  /// The number of ids, including those without use below the last used one.
  public var vocabularySize: Int { kinds.count }
  /// The ids that have a role in the template.
  public let controls: ControlTokens
  /// Whether text is brought to Unicode's normalization form C before it is split.
  public var normalizesToNFC: Bool { pipeline.normalizesToNFC }
  /// The one id that is put before a text, such as that of Llama 3's `<|begin_of_text|>`; nil where none is, or several are.
  public var beginning: Int32? { pipeline.prefix.count == 1 ? pipeline.prefix[0] : nil }
  /// What happens to text besides merging.
  let pipeline: TokenizerPipeline

  let kinds: [TokenKind]
  /// The bytes of all tokens, one after the other, and where each begins; one more begin than tokens.
  private let storage: [UInt8]
  private let starts: [Int32]
  let added: [Added]
  let model: BytePairModel
  private let addedIDs: [[UInt8]: Int32]
  /// The tokens that a word as a whole is although merging would give others; nil where merging always decides.
  let wholeWords: TokenTrie?
  /// The added tokens to be found in text, and those in normalized text.
  let matcher: AddedTokenMatcher?
  let normalizedMatcher: AddedTokenMatcher?

  /// Makes a tokenizer from its parts.
  ///
  /// - Parameters:
  ///   - pieces: the bytes by id, nil for ids that are added tokens only or unused.
  ///   - added: in order of ids, each id and each text once.
  init(
    pieces: [[UInt8]?], merges: [BytePairModel.Merge], added: [Added], pipeline: TokenizerPipeline
  ) throws(TokenizationError) {
    var kinds = pieces.map { $0 == nil ? TokenKind.unused : .piece }
    var texts = pieces.map { $0 ?? [] }
    var addedIDs: [[UInt8]: Int32] = [:]
    for token in added {
      while kinds.count <= Int(token.id) {
        kinds.append(.unused)
        texts.append([])
      }
      kinds[Int(token.id)] = token.kind
      texts[Int(token.id)] = Array(token.text.utf8)
      addedIDs[Array(token.text.utf8)] = token.id
    }
    var byteIDs = [Int32](repeating: -1, count: 256)
    for (id, piece) in pieces.enumerated() { if let piece, piece.count == 1 { byteIDs[Int(piece[0])] = Int32(id) } }
    if let missing = byteIDs.firstIndex(of: -1) {
      throw TokenizationError(
        .missingToken, context: "vocabulary", expected: "a token for each of the 256 bytes",
        found: "none for byte \(missing)",
        advice: "use a byte-level BPE tokenizer")
    }
    (storage, starts) = try Self.stored(texts)
    controls = try ControlTokens { addedIDs[Array($0.utf8)] }
    model = try BytePairModel(tokens: pieces.map { $0.map { $0[...] } }, merges: merges, byteIDs: byteIDs)
    for token in added where token.kind == .control && token.isPiece && model.gives(token.id) {
      throw TokenizationError(
        .unsupported, context: "token \(token.text)", expected: "a special token that no merges give",
        found: "one that text gives", advice: "take it out of the merges, or out of the special tokens")
    }
    wholeWords = pipeline.ignoresMerges ? Self.wholeWords(pieces, kinds, model) : nil
    try Self.checkForms(added.filter(\.options.isNormalized), pipeline)
    matcher = AddedTokenMatcher(added.filter { !$0.options.isNormalized }) { Array($0.utf8) }
    normalizedMatcher = AddedTokenMatcher(added.filter(\.options.isNormalized), form: pipeline.normalized)
    self.kinds = kinds
    self.added = added
    self.addedIDs = addedIDs
    self.pipeline = pipeline
  }

  private static func stored(_ texts: [[UInt8]]) throws(TokenizationError) -> (storage: [UInt8], starts: [Int32]) {
    var storage: [UInt8] = []
    var starts: [Int32] = [0]
    starts.reserveCapacity(texts.count + 1)
    for bytes in texts {
      storage.append(contentsOf: bytes)
      guard let end = Int32(exactly: storage.count) else {
        throw TokenizationError(
          .unsupported, context: "vocabulary", expected: "less than 2 GiB of text", found: "more",
          advice: "use a smaller one")
      }
      starts.append(end)
    }
    return (storage, starts)
  }

  /// Two texts may have one normalized form: then text could not tell which token it spells.
  private static func checkForms(_ added: [Added], _ pipeline: TokenizerPipeline) throws(TokenizationError) {
    var seen: Set<[UInt8]> = []
    for token in added where !seen.insert(pipeline.normalized(token.text)).inserted {
      throw TokenizationError.malformed(
        "added token \(token.text)", "a normalized form of its own", "that of an added token before it")
    }
  }

  private static func wholeWords(_ pieces: [[UInt8]?], _ kinds: [TokenKind], _ model: BytePairModel) -> TokenTrie? {
    let texts = pieces.indices.map { id in
      kinds[id] == .piece && !model.gives(Int32(id)) ? pieces[id]?[...] : nil
    }
    return texts.allSatisfy { $0 == nil } ? nil : TokenTrie(texts)
  }

  /// The number of ids before the first added token that is no piece of text.
  public var baseCount: Int { kinds.firstIndex { $0 != .piece } ?? kinds.count }

  /// The kind of a token; `unused` for an id outside the vocabulary.
  public func kind(of id: Int32) -> TokenKind { kinds.indices.contains(Int(id)) ? kinds[Int(id)] : .unused }

  /// The bytes of `ids`: pieces and structure tokens as they are, nothing for controls and for ids outside the vocabulary.
  public func decode(_ ids: some Sequence<Int32>) -> [UInt8] {
    var result: [UInt8] = []
    for id in ids { result.append(contentsOf: slice(of: id)) }
    return result
  }

  /// The bytes that a token prints; none for controls and for ids outside the vocabulary.
  public func bytes(of id: Int32) -> [UInt8] { Array(slice(of: id)) }

  private func slice(of id: Int32) -> ArraySlice<UInt8> {
    switch kind(of: id) {
    case .piece, .structure: literal(id)
    case .control, .unused: []
    }
  }

  /// The id of a control token by its text, such as `<|user|>`.
  public func control(_ text: String) -> Int32? {
    addedIDs[Array(text.utf8)].flatMap { kind(of: $0) == .control ? $0 : nil }
  }

  /// The id of an added token by its text.
  func addedToken(_ text: String) -> Int32? { addedIDs[Array(text.utf8)] }

  /// The id of the one token that prints exactly `text`: a structure token, or a piece where the vocabulary has one
  /// (a single mark such as a comma always is).
  public func structure(_ text: String) -> Int32? {
    let bytes = Array(text.utf8)
    if let id = addedIDs[bytes] { return kind(of: id) == .structure ? id : nil }
    let ids = bytes.withUnsafeBufferPointer { word in encoding(capacity: word.count) { $0.append(word: word) } }
    return ids.count == 1 ? ids[0] : nil
  }

  /// The texts of the structure tokens, in order of their ids.
  public var structureTexts: [String] { added.filter { $0.kind == .structure }.map(\.text) }

  /// The bytes of what merges can give, by id, up to the last such; nil for the others.
  var pieces: [[UInt8]?] {
    let shared = Set(added.filter(\.isPiece).map(\.id))
    var pieces = kinds.indices.map { id in
      kinds[id] == .piece || shared.contains(Int32(id)) ? Array(literal(Int32(id))) : nil
    }
    while let last = pieces.last, last == nil { pieces.removeLast() }
    return pieces
  }

  /// The token's own bytes, for controls the text of their name.
  func literal(_ id: Int32) -> ArraySlice<UInt8> { storage[Int(starts[Int(id)])..<Int(starts[Int(id) + 1])] }
}
