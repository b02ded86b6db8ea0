import Topics

/// What one request adds to a grammar: the pieces its strings may copy, and with that which functions can be filled at all.
package final class RequestContext: Sendable {
  let grammar: AnswerGrammar
  /// Whether strings begin and end with a word of the request.
  private let isWholeWords: Bool
  let text: SubstringAutomaton
  /// For each rule, how deep its shallowest value nests, given this request.
  let depths: [Int32]
  /// The openings of the functions that can be filled.
  let openings: ByteTrie
  /// The legal texts, quotes included, of strings with a pattern or format.
  let candidates: [RuleID: ByteTrie]
  /// Whether everything but the pieces themselves is the same for every request, so that results can be shared.
  let isOrdinary: Bool

  /// Prepares a request.
  ///
  /// - Parameters:
  ///   - grammar: The functions' grammar.
  ///   - texts: The texts whose pieces are legal values of strings without an enumeration: the contents of the messages.
  ///   - wholeWords: Whether such pieces begin and end with a word, save where a schema limits their length.
  ///   - functions: The only ones that may be called; nil: any.
  package init(
    grammar: AnswerGrammar, texts: [String], wholeWords: Bool = false,
    functions: Set<String>? = nil
  ) {
    self.grammar = grammar
    isWholeWords = wholeWords
    text = SubstringAutomaton(texts)
    candidates = Self.candidates(grammar, texts)
    let longest = text.longestPiece
    isOrdinary = functions == nil && grammar.candidateRules.isEmpty && longest >= grammar.longestMinimum
    if isOrdinary {
      depths = grammar.depths
      openings = grammar.openings
    } else {
      let tries = candidates
      let depths = AnswerGrammar.depths(of: grammar.rules) { rule in
        switch grammar.rules[Int(rule)] {
        case .piece(let minimum, _): minimum <= longest
        case .candidates: tries[rule]?.isEmpty == false
        default: true
        }
      }
      self.depths = depths
      openings = AnswerGrammar.openings(grammar.functions) {
        depths[Int($0.arguments)] <= AnswerGrammar.maximumDepth && functions?.contains($0.name) != false
      }
    }
  }

  /// Whether pieces of these lengths are whole words: not where the schema limits them, because no word's end might be within.
  @inline(__always)
  func cutsWords(minimum: Int32, maximum: Int32) -> Bool {
    isWholeWords && minimum <= 1 && maximum >= text.longestPiece
  }

  /// Whether no function can be filled from this request.
  package var isHopeless: Bool { openings.isEmpty }

  private static func candidates(_ grammar: AnswerGrammar, _ texts: [String]) -> [RuleID: ByteTrie] {
    guard !grammar.candidateRules.isEmpty else { return [:] }
    let pieces = alignedPieces(of: texts)
    var result: [RuleID: ByteTrie] = [:]
    for rule in grammar.candidateRules {
      guard case .candidates(let schema) = grammar.rules[Int(rule)] else { continue }
      let legal = pieces.lazy.map { JSON.string($0) }.filter { schema.accepts($0) }
      result[rule] = ByteTrie(legal.map { ($0.bytes, 0) })
    }
    return result
  }

  /// The pieces that begin and end with a word, at most 64 characters long, each once; where there are more than 20,000, those that
  /// begin last: what is asked for stands behind the instructions.
  private static func alignedPieces(of texts: [String]) -> [String] {
    var seen: Set<String> = []
    var pieces: [String] = []
    for text in texts.reversed() {
      let words = wordBounds(of: text)
      for (start, first) in words.enumerated().reversed() {
        for last in words[start...] {
          let piece = text[first.lowerBound..<last.upperBound]
          guard piece.count <= 64 else { break }
          guard pieces.count < 20_000 else { return pieces }
          if seen.insert(String(piece)).inserted { pieces.append(String(piece)) }
        }
      }
    }
    return pieces
  }

  /// Runs of letters and digits, and every other character but white space by itself.
  private static func wordBounds(of text: String) -> [Range<String.Index>] {
    var bounds: [Range<String.Index>] = []
    var index = text.startIndex
    while index < text.endIndex {
      let character = text[index]
      var end = text.index(after: index)
      if character.isLetter || character.isNumber {
        while end < text.endIndex, text[end].isLetter || text[end].isNumber { end = text.index(after: end) }
      }
      if !character.isWhitespace { bounds.append(index..<end) }
      index = end
    }
    return bounds
  }
}
