/// Finds added tokens in text as Hugging Face's tokenizers does: at each place the longest, from left to right.
struct AddedTokenMatcher: Sendable {
  /// A piece of text: a token, or what stands between tokens.
  enum Piece {
    case token(Int32)
    case text(Range<Int>)
  }

  private let tokens: [Tokenizer.Added]
  private let trie: TokenTrie
  /// Whether some token begins with a byte.
  private let isBeginning: [Bool]

  /// A matcher, or nil where there are no tokens.
  ///
  /// - Parameter form: what the text of a token looks like in the text that is searched; no two alike.
  init?(_ tokens: [Tokenizer.Added], form: (String) -> [UInt8]) {
    let texts = tokens.map { form($0.text) }
    guard !tokens.isEmpty, let trie = TokenTrie(texts.map { $0[...] }) else { return nil }
    self.tokens = tokens
    self.trie = trie
    var isBeginning = [Bool](repeating: false, count: 256)
    for text in texts { isBeginning[Int(text[0])] = true }
    self.isBeginning = isBeginning
  }

  /// Calls `body` with the pieces of the text in order, none of them empty.
  func split(_ bytes: UnsafeBufferPointer<UInt8>, _ body: (Piece) -> Void) {
    // Where the text that is not given out yet begins.
    var rest = 0
    var position = 0
    while position < bytes.count {
      guard isBeginning[Int(bytes[position])], let match = match(bytes, position) else {
        position += 1
        continue
      }
      var (start, end) = (position, position + match.length)
      position = end
      let options = match.token.options
      if options.isSingleWord, isWord(bytes, before: start) || isWord(bytes, at: end) { continue }
      if options.stripsLeft { start = startOfSpaces(bytes, before: start, from: rest) }
      if options.stripsRight { end = endOfSpaces(bytes, end) }
      if rest < start { body(.text(rest..<start)) }
      body(.token(match.token.id))
      rest = end
    }
    if rest < bytes.count { body(.text(rest..<bytes.count)) }
  }

  private func match(
    _ bytes: UnsafeBufferPointer<UInt8>, _ start: Int
  ) -> (token: Tokenizer.Added, length: Int)? {
    let (index, length) = trie.withView { $0.longest(bytes, from: start) }
    return index < 0 ? nil : (tokens[Int(index)], length)
  }

  private func isWord(_ bytes: UnsafeBufferPointer<UInt8>, at place: Int) -> Bool {
    place < bytes.count && flags(bytes, place) & ScalarTable.word != 0
  }

  private func isWord(_ bytes: UnsafeBufferPointer<UInt8>, before place: Int) -> Bool {
    place > 0 && flags(bytes, startOfScalar(bytes, before: place)) & ScalarTable.word != 0
  }

  private func endOfSpaces(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int {
    var position = start
    while position < bytes.count, isSpace(bytes, position) { position += UTF8Scalar.read(bytes, position).length }
    return position
  }

  private func startOfSpaces(_ bytes: UnsafeBufferPointer<UInt8>, before end: Int, from lowest: Int) -> Int {
    var position = end
    while position > lowest {
      let before = startOfScalar(bytes, before: position)
      guard isSpace(bytes, before) else { break }
      position = before
    }
    return max(position, lowest)
  }

  private func isSpace(_ bytes: UnsafeBufferPointer<UInt8>, _ place: Int) -> Bool {
    let kind = flags(bytes, place) & ScalarTable.classBits
    return kind == ScalarClass.space.rawValue || kind == ScalarClass.newline.rawValue
  }

  private func flags(_ bytes: UnsafeBufferPointer<UInt8>, _ place: Int) -> UInt8 {
    UTF8Scalar.read(bytes, place).value.map { ScalarTable.shared.flags[Int($0)] } ?? ScalarTable.invalid
  }

  private func startOfScalar(_ bytes: UnsafeBufferPointer<UInt8>, before end: Int) -> Int {
    var start = end - 1
    while start > 0, end - start < 4, bytes[start] & 0xC0 == 0x80 { start -= 1 }
    return start
  }
}
