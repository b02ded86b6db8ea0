extension Tokenizer {
  /// Trains a tokenizer for the template "retort-1".
  ///
  /// Merges are learned within bare words of letters alone. After all of them come merges of a space with the `spaceFused`
  /// most frequent first pieces of words that follow a space. As these have the lowest priority, " word" gives the same
  /// pieces as "word" save that the first may have the space in front: values copied out of a request keep their pieces.
  ///
  /// Ids: 256 bytes, merges, ``ControlTokens/texts``, structure tokens, then `<|reserved_N|>` up to a multiple of 32. The
  /// result depends on the counts of words alone, not on the order of texts, the machine or the run.
  ///
  /// - Parameters:
  ///   - texts: what requests look like; words of more than 256 bytes are left out.
  ///   - vocabularySize: the most ids, rounded up to a multiple of 32; fewer where the texts do not have that many merges.
  ///   - spaceFused: how many pieces get a variant with a space in front; default 256.
  ///   - structure: the texts of structure tokens, each once; those of one byte use the byte's token.
  ///   - minimumCount: how often a pair must occur to be merged; default 2.
  /// - Throws: ``TokenizationError`` `vocabulary_size` where bytes, controls, structure and fused pieces do not fit;
  ///   `invalid_argument`.
  public static func train(
    _ texts: some Sequence<String>, vocabularySize: Int, spaceFused: Int = 256, structure: [String],
    minimumCount: Int = 2
  ) throws(TokenizationError) -> Tokenizer {
    let structure = try addable(structure)
    let total = (vocabularySize + 31) / 32 * 32
    let room = total - 256 - ControlTokens.texts.count - structure.count - spaceFused
    guard room >= 0, total <= maximumTokens, spaceFused >= 0, minimumCount >= 1 else {
      throw TokenizationError(
        .vocabularySize, context: "training a tokenizer",
        expected:
          "at least \(total - room) and at most \(maximumTokens) ids for 256 bytes, \(ControlTokens.texts.count) "
          + "controls, \(structure.count) structure tokens and \(spaceFused) fused pieces",
        found: "\(vocabularySize)", advice: "choose a larger vocabulary or fewer fused pieces")
    }
    let words = WordCounts(texts)
    // Sorted, as dictionaries have another order in each process.
    var trainer = BytePairTrainer(
      words.all.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { ($0.key, $0.value) })
    var (merges, tokens) = trainer.learn(limit: room, minimumCount: minimumCount)
    let initial = try firstPieces(words.afterSpace, merges: merges, minimumCount: minimumCount, tokens: tokens)
    for piece in initial.prefix(spaceFused) {
      merges.append(BytePairModel.Merge(left: 0x20, right: piece, result: Int32(tokens.count)))
      tokens.append([0x20] + tokens[Int(piece)])
    }
    var added: [Added] = []
    func add(_ text: String, _ kind: TokenKind) {
      added.append(Added(id: Int32(tokens.count + added.count), text: text, kind: kind))
    }
    for text in ControlTokens.texts { add(text, .control) }
    for text in structure { add(text, .structure) }
    var reserved = 0
    while (tokens.count + added.count) % 32 != 0 {
      add("<|reserved_\(reserved)|>", .control)
      reserved += 1
    }
    return try Tokenizer(pieces: tokens, merges: merges, added: added, pipeline: TokenizerPipeline())
  }

  /// The same tokenizer with structure tokens after all its ids; those whose text is one token already are not added.
  ///
  /// - Throws: ``TokenizationError`` `invalid_argument` for empty or repeated texts, or where a control has the text.
  public func adding(structure: [String]) throws(TokenizationError) -> Tokenizer {
    var added = added
    for text in try Self.addable(structure) where self.structure(text) == nil {
      guard control(text) == nil else {
        throw TokenizationError(
          .invalidArgument, context: "structure token", expected: "a text that is no control token", found: text,
          advice: "rename it")
      }
      added.append(Added(id: Int32(vocabularySize + added.count - self.added.count), text: text, kind: .structure))
    }
    return try Tokenizer(pieces: pieces, merges: model.merges, added: added, pipeline: pipeline)
  }

  private static func addable(_ structure: [String]) throws(TokenizationError) -> [String] {
    var seen: Set<[UInt8]> = []
    for text in structure {
      guard (1...4096).contains(text.utf8.count), text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }),
        seen.insert(Array(text.utf8)).inserted
      else {
        throw TokenizationError(
          .invalidArgument, context: "structure token", expected: "printable ASCII, up to 4096 bytes, each text once",
          found: text, advice: "leave it out: what has no structure token is spelled")
      }
    }
    return structure.filter { $0.utf8.count > 1 }
  }

  /// The first pieces of words, the most frequent first, ties by bytes.
  private static func firstPieces(
    _ words: [[UInt8]: Int], merges: [BytePairModel.Merge], minimumCount: Int, tokens: [[UInt8]]
  ) throws(TokenizationError) -> [Int32] {
    let model = try BytePairModel(
      tokens: tokens.map { $0[...] }, merges: merges, byteIDs: (0..<256).map { Int32($0) })
    var counts: [Int32: Int] = [:]
    for (word, count) in words { counts[MergeHeap(model).encode(word)[0], default: 0] += count }
    return counts.filter { $0.value >= minimumCount }
      .sorted { first, second in
        first.value != second.value
          ? first.value > second.value
          : tokens[Int(first.key)].lexicographicallyPrecedes(tokens[Int(second.key)])
      }
      .map(\.key)
  }
}

/// How often each bare word of letters occurs.
private struct WordCounts {
  var all: [[UInt8]: Int] = [:]
  /// The same, only where a space stands before the word.
  var afterSpace: [[UInt8]: Int] = [:]

  init(_ texts: some Sequence<String>) {
    for text in texts { add(Array(text.utf8)) }
  }

  private mutating func add(_ bytes: [UInt8]) {
    bytes.withUnsafeBufferPointer { bytes in
      ScalarTable.shared.flags.withUnsafeBufferPointer { flags in
        var scanner = PreTokenizer(bytes, split: .qwen2, flags: flags.baseAddress.unsafelyUnwrapped)
        while let word = scanner.next() {
          let letters = scanner.letters(of: word)
          guard (1...256).contains(letters.count) else { continue }
          let key = Array(bytes[letters])
          all[key, default: 0] += 1
          if letters.lowerBound == word.lowerBound + 1, bytes[word.lowerBound] == 0x20 {
            afterSpace[key, default: 0] += 1
          }
        }
      }
    }
  }
}
