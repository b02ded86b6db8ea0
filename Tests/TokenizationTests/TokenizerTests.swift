import Testing
import Tokenization
import Topics

@Suite("Tokenizer")
struct TokenizerTests {
  private struct Case {
    let text: String
    let words: [String]
    let ids: [Int32]
  }

  private static func cases() throws -> [Case] {
    try JSON.parse(golden("cases.json")).arrayValue?.map { json in
      Case(
        text: json["text"]?.stringValue ?? "", words: json["words"]?.arrayValue?.compactMap(\.stringValue) ?? [],
        ids: json["ids"]?.arrayValue?.compactMap { $0.integerValue.map(Int32.init) } ?? [])
    } ?? []
  }

  private static func qwen() throws -> Tokenizer { try Tokenizer(huggingFace: golden("qwen2-style.json")) }

  @Test("words are split as Hugging Face's tokenizers does")
  func words() throws {
    for example in try Self.cases() {
      let bytes = Array(example.text.utf8)
      let words = Tokenizer.words(of: bytes).map { Array(bytes[$0]) }
      #expect(words == example.words.map { Array($0.utf8) }, "\(example.text.debugDescription)")
    }
  }

  @Test("ids are those of Hugging Face's tokenizers, NFC included")
  func ids() throws {
    let tokenizer = try Self.qwen()
    #expect(tokenizer.normalizesToNFC)
    for example in try Self.cases() {
      #expect(tokenizer.encode(example.text) == example.ids, "\(example.text.debugDescription)")
    }
  }

  @Test("a loaded tokenizer is written back as the same one")
  func writesBack() throws {
    let tokenizer = try Self.qwen()
    let again = try Tokenizer(huggingFace: tokenizer.huggingFaceJSON)
    #expect(again.digest == tokenizer.digest)
    #expect(again.huggingFaceJSON == tokenizer.huggingFaceJSON)
    let gguf = try Tokenizer(
      ggufTokens: tokenizer.ggufTokens, types: tokenizer.ggufTypes, merges: tokenizer.ggufMerges, normalizesToNFC: true)
    #expect(gguf.digest == tokenizer.digest)
    #expect(tokenizer.kind(of: try #require(tokenizer.control("<|im_end|>"))) == .control)
    #expect(tokenizer.structure("<tool_call>") != nil)
  }

  @Test("text that spells an added token gives pieces of text")
  func addedTokensAreNotMatched() throws {
    let tokenizer = try Self.trained()
    for text in ["<|call|>", "a<|endoftext|>b", "{\"name\":\"stop\",\"arguments\":{", "x\",\"y", "}}"] {
      let ids = tokenizer.encode(text)
      #expect(ids.allSatisfy { tokenizer.kind(of: $0) == .piece })
      #expect(tokenizer.decode(ids) == Array(text.utf8))
    }
  }

  @Test("encode and decode are inverses on any bytes")
  func anyBytes() throws {
    let tokenizer = try Self.trained()
    var generator = SeededGenerator(1)
    let pool = Array("ab Zé ß東 '\"{}, \n\r\t7½".utf8)
    for round in 0..<5_000 {
      let count = Int.random(in: 0...(round % 10 == 0 ? 400 : 30), using: &generator)
      let bytes = (0..<count).map { _ in
        round % 2 == 0 ? UInt8.random(in: 0...255, using: &generator) : pool.randomElement(using: &generator) ?? 0
      }
      let ids = tokenizer.encode(bytes: bytes)
      if tokenizer.decode(ids) != bytes { Issue.record("\(bytes)") }
      let text = String(decoding: bytes, as: UTF8.self)
      if tokenizer.decode(tokenizer.encode(text)) != Array(text.utf8) { Issue.record("\(text)") }
    }
    #expect(tokenizer.encode("") == [])
    #expect(tokenizer.encode(bytes: [0xFF, 0xC0, 0x80, 0xED, 0xA0, 0x80]) == [0xFF, 0xC0, 0x80, 0xED, 0xA0, 0x80])
    #expect(tokenizer.decode([-1, .max, .min]) == [])
  }

  @Test("words short and long are merged as the definition says", arguments: 1...6)
  func merging(_ seed: UInt64) throws {
    let tokenizer = try Self.trained()
    var ranks: [[String]: Int] = [:]
    for (rank, merge) in tokenizer.ggufMerges.enumerated() {
      ranks[merge.split(separator: " ").map(String.init)] = rank
    }
    var generator = SeededGenerator(seed)
    let pieces = tokenizer.ggufTokens[256..<tokenizer.baseCount].filter { $0.utf8.allSatisfy { $0 < 128 } }
    for length in [1, 7, 33, 47, 48, 49, 50, 90, 1023] {
      var word = ""
      while word.utf8.count < length { word += pieces.randomElement(using: &generator) ?? "a" }
      word = String(word.prefix(length))
      var parts = word.map { String($0) }
      while true {
        let best = (0..<max(0, parts.count - 1)).compactMap { index in
          ranks[[parts[index], parts[index + 1]]].map { (rank: $0, index: index) }
        }.min { ($0.rank, $0.index) < ($1.rank, $1.index) }
        guard let best else { break }
        parts[best.index] += parts.remove(at: best.index + 1)
      }
      let ids = tokenizer.encode(word)
      #expect(ids.map { String(decoding: tokenizer.bytes(of: $0), as: UTF8.self) } == parts)
    }
  }

  @Test(
    "a megabyte without any space takes no more than linear time", .timeLimit(.minutes(1)),
    arguments: [
      "a", "ab", " ", "\n", " \n", "!", "é", "'s", "'", "e\u{301}", "\u{0}", "7", "the",
    ])
  func longWords(_ unit: String) throws {
    let tokenizer = try Self.trained()
    let text = String(repeating: unit, count: 1_000_000 / unit.utf8.count)
    #expect(tokenizer.decode(tokenizer.encode(text)) == Array(text.utf8))
    guard ["ab", "e\u{301}"].contains(unit) else { return }
    let normalizing = try Self.qwen()
    #expect(normalizing.decode(normalizing.encode(text)).count <= text.utf8.count)
  }

  @Test("damaged files give an error or a tokenizer, and never stop the process")
  func fuzz() throws {
    let bytes = try Self.trained(size: 384).huggingFaceJSON
    var generator = SeededGenerator(9)
    var refused = 0
    for round in 0..<400 {
      var copy = bytes
      if round % 4 == 0 { copy.removeLast(Int.random(in: 1..<copy.count, using: &generator)) }
      for _ in 0...(round % 3) {
        copy[Int.random(in: copy.indices, using: &generator)] = bytes.randomElement(using: &generator) ?? 0
      }
      do {
        let tokenizer = try Tokenizer(huggingFace: copy)
        _ = tokenizer.decode(tokenizer.encode("Play some music in Berlin"))
      } catch {
        refused += 1
      }
    }
    #expect(refused > 200)
  }

  @Test(
    "pipelines that split or change text otherwise are refused, by name",
    arguments: [
      ("\"Isolated\"", "\"Removed\""), ("\"NFC\"", "\"NFKC\""), ("\"BPE\"", "\"WordPiece\""),
      ("\"byte_fallback\":false", "\"byte_fallback\":true"), ("\"dropout\":null", "\"dropout\":0.1"),
      ("|\\\\p{N}|", "|\\\\p{N}{1,4}|"), ("\"add_prefix_space\":false", "\"add_prefix_space\":true"),
      ("\"invert\":false", "\"invert\":true"),
      ("\"post_processor\":{\"type\":\"ByteLevel\"", "\"post_processor\":{\"type\":\"BertProcessing\""),
      ("\"decoder\":{\"type\":\"ByteLevel\"", "\"decoder\":{\"type\":\"Fuse\""),
    ])
  func refusesPipelines(_ old: String, _ new: String) throws {
    let text = String(decoding: try golden("qwen2-style.json"), as: UTF8.self)
    let changed = text.replacing(old, with: new)
    try #require(changed != text)
    #expect { try Tokenizer(huggingFace: Array(changed.utf8)) } throws: {
      ($0 as? TokenizationError)?.code == .unsupported
    }
  }

  @Test("added tokens that normalization makes one are refused")
  func refusesForms() throws {
    let json = try JSON.parse(golden("qwen2-style.json"))
    func tokenizer(adding texts: [String]) throws -> Tokenizer {
      var (object, entries) = (json.objectValue ?? [:], json["added_tokens"]?.arrayValue ?? [])
      let first = try #require(entries.last?["id"]?.integerValue) + 1
      for (id, text) in zip(first..., texts) {
        entries.append(["id": .integer(id), "content": .string(text), "normalized": true, "special": false])
      }
      object["added_tokens"] = .array(entries)
      return try Tokenizer(huggingFace: JSON.object(object).bytes)
    }
    let id = Int32(try tokenizer(adding: []).vocabularySize)
    #expect(try tokenizer(adding: ["\u{212B}"]).encodeWithAddedTokens("\u{C5}") == [id])
    #expect {
      try tokenizer(adding: ["\u{212B}", "\u{C5}"])
    } throws: {
      ($0 as? TokenizationError)?.code == .malformed
    }
  }

  @Test("GGUF vocabularies that contradict themselves are refused", arguments: 0..<6)
  func refusesGGUF(_ what: Int) throws {
    let tokenizer = try Self.trained(size: 384)
    var (tokens, types, merges) = (tokenizer.ggufTokens, tokenizer.ggufTypes, tokenizer.ggufMerges)
    switch what {
    case 0: types.removeLast()
    case 1: tokens[300] = tokens[301]
    case 2: types[65] = 5
    case 3: merges[0] = "nope"
    case 4: merges.append(merges[0])
    default: types[2] = 77
    }
    #expect(throws: TokenizationError.self) { try Tokenizer(ggufTokens: tokens, types: types, merges: merges) }
  }

  private static let shared = Result { try train(size: 800) }

  /// A small trained tokenizer with the structure of `everyKind`; that of 800 ids is trained once.
  static func trained(size: Int = 800) throws -> Tokenizer { size == 800 ? try shared.get() : try train(size: size) }

  private static func train(size: Int) throws -> Tokenizer {
    try Tokenizer.train(
      sentences, vocabularySize: size, spaceFused: 40, structure: CallCodec.structureTokens(for: everyKind()))
  }
}
