import Testing
import Tokenization
import Topics

@Suite("Vocabulary pruning") struct PruningTests {
  private func check(_ tokenizer: Tokenizer, _ texts: [String], unseen: [String]) throws -> Tokenizer.Pruned {
    let used = Set(texts.flatMap { tokenizer.encode($0) })
    let pruned = try tokenizer.pruned(keeping: used)
    var new: [Int32: Int32] = [:]
    for (id, old) in pruned.kept.enumerated() { new[old] = Int32(id) }
    for text in texts {
      #expect(pruned.tokenizer.encode(text) == tokenizer.encode(text).map { new[$0] ?? -1 }, "\(text)")
    }
    for text in unseen {
      let ids = tokenizer.encode(text)
      if ids.allSatisfy({ new[$0] != nil }) {
        #expect(pruned.tokenizer.encode(text) == ids.map { new[$0] ?? -1 }, "\(text)")
      }
      #expect(pruned.tokenizer.decode(pruned.tokenizer.encode(text)) == tokenizer.decode(ids), "\(text)")
    }
    return pruned
  }

  @Test("Texts of kept tokens keep their ids, renumbered; others are split into smaller pieces and lose nothing")
  func trained() throws {
    let tokenizer = try TokenizerTests.trained()
    let some = Array(sentences.prefix(3))
    let pruned = try check(tokenizer, some, unseen: sentences + ["東京 7½ é'S!?...\r\n ", "aaaaaaa bbbb", ""])
    #expect(pruned.tokenizer.vocabularySize < tokenizer.vocabularySize)
    #expect(pruned.tokenizer.vocabularySize % 32 == 0)
    #expect(pruned.tokenizer.digest != tokenizer.digest)
    #expect(pruned.tokenizer.structureTexts == tokenizer.structureTexts)
    for text in ControlTokens.texts { #expect(pruned.tokenizer.control(text) != nil) }
    for (id, old) in pruned.kept.enumerated() {
      #expect(pruned.tokenizer.bytes(of: Int32(id)) == tokenizer.bytes(of: old))
      #expect(pruned.tokenizer.kind(of: Int32(id)) == tokenizer.kind(of: old))
    }
    let again = try Tokenizer(huggingFace: pruned.tokenizer.huggingFaceJSON)
    #expect(again.digest == pruned.tokenizer.digest)
    #expect(sentences.allSatisfy { again.encode($0) == pruned.tokenizer.encode($0) })
  }

  @Test("A tokenizer of another family is pruned alike")
  func qwen() throws {
    let tokenizer = try Tokenizer(huggingFace: golden("qwen2-style.json"))
    let texts = ["Set the kitchen light", "to 42 percent, please"]
    let pruned = try check(tokenizer, texts, unseen: sentences)
    #expect(pruned.tokenizer.normalizesToNFC)
    #expect(pruned.kept == pruned.kept.sorted())
  }

  @Test("A piece that is put before every text stays")
  func prefix() throws {
    var object = try #require(JSON.parse(golden("qwen2-style.json")).objectValue)
    object["post_processor"] = [
      "type": "TemplateProcessing", "single": [["SpecialToken": ["id": "first"]], ["Sequence": ["id": "A"]]],
      "special_tokens": ["first": ["ids": [700]]],
    ]
    let tokenizer = try Tokenizer(huggingFace: JSON.object(object).bytes)
    #expect(tokenizer.kind(of: 700) == .piece && tokenizer.bytes(of: 700).count > 1)
    let pruned = try tokenizer.pruned(keeping: [])
    let new = try #require(pruned.kept.firstIndex(of: 700))
    #expect(pruned.tokenizer.encodeWithAddedTokens("") == [Int32(new)])
    #expect(pruned.tokenizer.bytes(of: Int32(new)) == tokenizer.bytes(of: 700))
  }

  @Test("With nothing used the bytes, controls and structure stay; with everything used nothing goes")
  func extremes() throws {
    let tokenizer = try TokenizerTests.trained()
    let least = try tokenizer.pruned(keeping: [], multiple: 1)
    let added = (0..<Int32(tokenizer.vocabularySize)).filter { tokenizer.kind(of: $0) != .piece }
    #expect(least.kept.count == 256 + added.count)
    #expect(least.tokenizer.encode("hall").count == 4)
    let all = try tokenizer.pruned(
      keeping: (0..<Int32(tokenizer.vocabularySize)).map { $0 } + [-1, 1 << 20], multiple: 1)
    #expect(all.kept.count == tokenizer.vocabularySize && all.tokenizer.digest == tokenizer.digest)
  }
}
