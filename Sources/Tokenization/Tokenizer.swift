/// A byte-level BPE tokenizer with Qwen2's word splitting, loaded or trained; immutable.
///
/// Ids below ``baseCount`` are pieces of text; above them come added tokens: *controls*, which no text produces and which
/// print nothing, and *structure* tokens, whose text is a literal piece of an answer. ``encode(_:)`` never gives added tokens,
/// whatever the text says, so that a request cannot speak in the name of the template.
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
  }

  /// The number of ids, including those without use below the last used one.
  public var vocabularySize: Int { kinds.count }
  /// The ids that have a role in the template.
  public let controls: ControlTokens
  /// Whether text is brought to Unicode's normalization form C before it is split.
  public let normalizesToNFC: Bool

  let kinds: [TokenKind]
  /// The bytes of all tokens, one after the other, and where each begins; one more begin than tokens.
  private let storage: [UInt8]
  private let starts: [Int32]
  let merges: [PairTable.Merge]
  let added: [Added]
  private let pairs: PairTable
  private let byteIDs: [Int32]
  private let addedIDs: [[UInt8]: Int32]

  /// The longest word that is merged as a whole, in bytes; longer ones are cut.
  private static let maximumWord = 1 << 24

  /// Makes a tokenizer from its parts.
  ///
  /// - Parameters:
  ///   - pieces: the bytes by id, nil for ids that are added tokens only or unused.
  ///   - added: in order of ids, each id and each text once.
  init(
    pieces: [[UInt8]?], merges: [PairTable.Merge], added: [Added], normalizesToNFC: Bool
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
    for (id, bytes) in texts.enumerated() where bytes.count == 1 && kinds[id] == .piece {
      byteIDs[Int(bytes[0])] = Int32(id)
    }
    if let missing = byteIDs.firstIndex(of: -1) {
      throw TokenizationError(
        .missingToken, context: "vocabulary", expected: "a token for each of the 256 bytes",
        found: "none for byte \(missing)",
        advice: "use a byte-level BPE tokenizer")
    }
    var storage: [UInt8] = []
    var starts: [Int32] = [0]
    for bytes in texts {
      storage.append(contentsOf: bytes)
      guard let end = Int32(exactly: storage.count) else {
        throw TokenizationError(
          .unsupported, context: "vocabulary", expected: "less than 2 GiB of text", found: "more",
          advice: "use a smaller one")
      }
      starts.append(end)
    }
    self.controls = try ControlTokens { addedIDs[Array($0.utf8)] }
    self.kinds = kinds
    self.storage = storage
    self.starts = starts
    self.merges = merges
    self.added = added
    self.addedIDs = addedIDs
    self.pairs = PairTable(merges)
    self.byteIDs = byteIDs
    self.normalizesToNFC = normalizesToNFC
  }

  /// The number of ids before the first added token that is no piece of text.
  public var baseCount: Int { kinds.firstIndex { $0 != .piece } ?? kinds.count }

  /// The kind of a token; `unused` for an id outside the vocabulary.
  public func kind(of id: Int32) -> TokenKind { kinds.indices.contains(Int(id)) ? kinds[Int(id)] : .unused }

  /// The ids of `text`, all of them pieces of text.
  public func encode(_ text: String) -> [Int32] {
    if normalizesToNFC, let normalized = Self.normalized(text) { return encode(plain: normalized) }
    return encode(plain: text)
  }

  /// The ids of any bytes; those that are not valid UTF-8 become one token each.
  public func encode(bytes: some Sequence<UInt8>) -> [Int32] {
    let contiguous = Array(bytes)
    if normalizesToNFC, let text = String(validating: contiguous, as: UTF8.self) { return encode(text) }
    return contiguous.withUnsafeBufferPointer { encode($0) }
  }

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

  /// The id of the one token that prints exactly `text`: a structure token, or a piece where the vocabulary has one
  /// (a single mark such as a comma always is).
  public func structure(_ text: String) -> Int32? {
    let bytes = Array(text.utf8)
    if let id = addedIDs[bytes] { return kind(of: id) == .structure ? id : nil }
    var ids: [Int32] = []
    bytes.withUnsafeBufferPointer { merge($0, words: [0..<$0.count], into: &ids) }
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

  private func encode(plain text: String) -> [Int32] {
    if let ids = text.utf8.withContiguousStorageIfAvailable({ encode($0) }) { return ids }
    return Array(text.utf8).withUnsafeBufferPointer { encode($0) }
  }

  private func encode(_ bytes: UnsafeBufferPointer<UInt8>) -> [Int32] {
    let table = bytes.allSatisfy { $0 < 0x80 } ? ScalarClassTable.ascii : ScalarClassTable.all
    var ids: [Int32] = []
    ids.reserveCapacity(bytes.count / 3 + 1)
    table.classes.withUnsafeBufferPointer { classes in
      merge(bytes, words: PreTokenizer.Words(bytes, classes: classes), into: &ids)
    }
    return ids
  }

  private func merge(
    _ bytes: UnsafeBufferPointer<UInt8>, words: some Sequence<Range<Int>>, into ids: inout [Int32]
  ) {
    pairs.withLookup { lookup in
      byteIDs.withUnsafeBufferPointer { byteIDs in
        var encoder = BytePairEncoder(lookup: lookup, byteIDs: byteIDs)
        for word in words {
          var start = word.lowerBound
          while start < word.upperBound {
            let end = min(word.upperBound, start + Self.maximumWord)
            encoder.encode(UnsafeBufferPointer(rebasing: bytes[start..<end]), into: &ids)
            start = end
          }
        }
      }
    }
  }
}
