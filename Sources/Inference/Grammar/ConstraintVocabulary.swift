/// The tokens of a tokenizer as the bytes they print, arranged for finding those that a grammar allows.
package struct ConstraintVocabulary: Sendable {
  /// Tokens that print nothing or more bytes than this are never written under a constraint.
  static let maximumTokenBytes = 1024

  /// The tokens' bytes; the values are token ids.
  let trie: ByteTrie
  /// The bytes of each token by id; empty for controls.
  package let bytes: [[UInt8]]
  /// Whether a token is a piece of the answer's structure, longer than one byte.
  package let isStructure: [Bool]
  /// Whether a token is such a piece and no text has it: those of a model that was trained elsewhere may be pieces of text too.
  let isNoText: [Bool]
  /// Whether each of the 256 bytes is a token of its own, so that any text can be written without structure tokens.
  let hasAllBytes: Bool

  /// Arranges tokens.
  ///
  /// - Parameters:
  ///   - bytes: What each token prints, by id; empty for controls and unused ids.
  ///   - structure: The ids of the structure tokens.
  ///   - texts: The ids of those of them that are pieces of text too; default none.
  package init(bytes: [[UInt8]], structure: Set<Int32>, texts: Set<Int32> = []) {
    self.bytes = bytes
    let isStructure = bytes.indices.map { structure.contains(Int32($0)) && bytes[$0].count > 1 }
    self.isStructure = isStructure
    isNoText = bytes.indices.map { isStructure[$0] && !texts.contains(Int32($0)) }
    var entries: [(bytes: [UInt8], value: Int32)] = []
    var single = [Bool](repeating: false, count: 256)
    for (id, text) in bytes.enumerated() where (1...Self.maximumTokenBytes).contains(text.count) {
      entries.append((text, Int32(id)))
      if text.count == 1 { single[Int(text[0])] = true }
    }
    trie = ByteTrie(entries)
    // C0, C1 and F5…FF stand in no UTF-8 text.
    hasAllBytes = single.indices.allSatisfy { single[$0] || $0 == 0xC0 || $0 == 0xC1 || $0 >= 0xF5 }
  }
}
