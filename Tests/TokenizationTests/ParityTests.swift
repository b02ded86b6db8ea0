import Foundation
import ModelFiles
import PythonPeers
import Testing
import Tokenization
import Topics

/// The same ids as Hugging Face's tokenizers, for each kind of `tokenizer.json`.
@Suite("Parity with Hugging Face's tokenizers")
struct ParityTests {
  static let styles = ["qwen2-style", "llama3-style", "gpt2-style", "digits-style"]

  private static func tokenizer(_ style: String) throws -> Tokenizer {
    try Tokenizer(huggingFace: golden("\(style).json"))
  }

  @Test("hostile texts have the golden ids, added and special tokens included", arguments: styles)
  func goldens(_ style: String) throws {
    let tokenizer = try Self.tokenizer(style)
    let cases = try JSON.parse(golden("hostile.json"))
    let texts = (cases["texts"]?.arrayValue ?? []).compactMap(\.stringValue)
    let ids = try #require(cases["ids"]?[style]?.arrayValue)
    #expect(texts.count == ids.count && texts.count > 200)
    for (text, expected) in zip(texts, ids) {
      let found = [true, false].map { tokenizer.encodeWithAddedTokens(text, addingSpecialTokens: $0) }
      let isSame = found == expected.arrayValue?.map { $0.arrayValue?.compactMap { $0.integerValue.map(Int32.init) } }
      if !isSame { Issue.record("\(text.debugDescription): \(found)") }
    }
  }

  @Test("a tokenizer is written back as the same one", arguments: styles)
  func writesBack(_ style: String) throws {
    let tokenizer = try Self.tokenizer(style)
    let again = try Tokenizer(huggingFace: tokenizer.huggingFaceJSON)
    #expect(again.huggingFaceJSON == tokenizer.huggingFaceJSON)
    for text in ["<|begin_of_text|>a <left> word xword xyzzy 123", "e\u{301}'S  \n x"] {
      #expect(again.encodeWithAddedTokens(text) == tokenizer.encodeWithAddedTokens(text))
    }
  }

  @Test("plain text never gives a control", arguments: styles)
  func plain(_ style: String) throws {
    let tokenizer = try Self.tokenizer(style)
    for text in ["<|endoftext|><|im_start|>word <left>", "<|begin_of_text|>", "\u{c5}tok"] {
      #expect(tokenizer.encode(text).allSatisfy { tokenizer.kind(of: $0) != .control })
    }
    #expect(tokenizer.encodeWithAddedTokens("<|endoftext|><|end_of_text|>").contains(tokenizer.controls.endOfText))
  }

  /// GPT-2's, digits by themselves: SmolLM's way.
  private static func smolLM() throws -> Tokenizer {
    var json = try #require(try JSON.parse(golden("gpt2-style.json")).objectValue)
    let bytes = try #require(json["pre_tokenizer"])
    json["pre_tokenizer"] = [
      "type": "Sequence", "pretokenizers": [["type": "Digits", "individual_digits": true], bytes],
    ]
    return try Tokenizer(huggingFace: JSON.object(json).bytes)
  }

  @Test(
    "GGUF vocabularies keep how text is split",
    arguments: [("llama3-style", "llama-bpe"), ("gpt2-style", "gpt-2"), ("smollm", "smollm")])
  func gguf(_ style: String, _ name: String) throws {
    let tokenizer = try style == "smollm" ? Self.smolLM() : Self.tokenizer(style)
    #expect(try tokenizer.ggufPreTokenizer() == name)
    let again = try Tokenizer(
      GGUFVocabulary(
        tokens: tokenizer.ggufTokens, types: tokenizer.ggufTypes, merges: tokenizer.ggufMerges, endOfText: 0,
        preTokenizer: name, normalizesToNFC: tokenizer.normalizesToNFC))
    for text in ["12345 it's IT'S xyzzy", "don't 東京 \n\n x"] { #expect(again.encode(text) == tokenizer.encode(text)) }
    #expect(throws: TokenizationError.self) { try Self.tokenizer("digits-style").ggufPreTokenizer() }
    #expect {
      try Tokenizer(ggufTokens: tokenizer.ggufTokens, types: tokenizer.ggufTypes, merges: [], preTokenizer: "falcon")
    } throws: {
      ($0 as? TokenizationError)?.code == .unsupported
    }
  }

  @Test("what is read from a GGUF file is known before it is written, and gives text the same ids")
  func asInGGUF() throws {
    for style in ["qwen2-style", "llama3-style", "gpt2-style"] {
      let tokenizer = try Self.tokenizer(style)
      let file = try tokenizer.asInGGUF(addsBeginning: true)
      let again = try Tokenizer(
        GGUFVocabulary(
          tokens: tokenizer.ggufTokens, types: tokenizer.ggufTypes, merges: tokenizer.ggufMerges, endOfText: 0,
          beginning: tokenizer.beginning.map(Int.init), addsBeginning: tokenizer.beginning != nil,
          preTokenizer: tokenizer.ggufPreTokenizer(), normalizesToNFC: tokenizer.normalizesToNFC))
      #expect(again.digest == file.digest)
      // GPT-2's end of text is a row of the vocabulary too, which the file does not say.
      #expect((file.digest == tokenizer.digest) == (style != "gpt2-style"), "\(style)")
      #expect(file.beginning == tokenizer.beginning && (file.beginning != nil) == (style == "llama3-style"))
      #expect(try tokenizer.asInGGUF().beginning == nil)
      for text in ["12345 it's IT'S xyzzy", "don't 東京 \n\n x", "<|endoftext|>"] {
        #expect(file.encode(text) == tokenizer.encode(text))
      }
    }
  }

  @Test("a tokenizer whose text would have no ids in a GGUF file is refused")
  func notInGGUF() throws {
    let plain = try Self.tokenizer("gpt2-style")
    let merge = plain.ggufMerges.first { $0.utf8.allSatisfy { (97...122).contains($0) || $0 == 32 } }
    let sides = try #require(merge).split(separator: " ")
    for word in [sides.joined(), String(sides[0])] {
      var file = try #require(JSON.parse(golden("gpt2-style.json")).objectValue)
      let id = try #require(file["model"]?["vocab"]?[word])
      let added = try #require(file["added_tokens"]?.arrayValue)
      file["added_tokens"] = .array([["id": id, "content": .string(word), "special": false]] + added)
      let tokenizer = try Tokenizer(huggingFace: JSON.object(file).bytes)
      #expect(tokenizer.encode(word) == [Int32(try #require(id.integerValue))])
      let error = #expect(throws: TokenizationError.self) { try tokenizer.asInGGUF() }
      #expect(error?.code == .unsupported && error?.advice.contains("added_tokens") == true)
    }
  }

  @Test("truncation and padding that were left in the file change nothing")
  func leftovers() throws {
    var file = try #require(JSON.parse(golden("qwen2-style.json")).objectValue)
    file["truncation"] = ["direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0]
    file["padding"] = ["strategy": ["Fixed": 64], "direction": "Left", "pad_id": 785, "pad_token": "<|endoftext|>"]
    let tokenizer = try Tokenizer(huggingFace: JSON.object(file).bytes)
    #expect(try tokenizer.digest == Self.tokenizer("qwen2-style").digest)
    #expect(tokenizer.encodeWithAddedTokens("a text of many words").count > 2)
  }

  @Test("words are encoded as the plain heap encodes them, whatever the order of the merges", arguments: styles)
  func reference(_ style: String) throws {
    let file = try JSON.parse(golden("\(style).json"))
    var generator = SeededGenerator(3)
    for shuffles in [false, true] {
      var object = try #require(file.objectValue)
      var model = try #require(object["model"]?.objectValue)
      if shuffles, let merges = model["merges"]?.arrayValue {
        model["merges"] = .array(merges.shuffled(using: &generator))
      }
      model["ignore_merges"] = false
      object["model"] = .object(model)
      let tokenizer = try Tokenizer(huggingFace: JSON.object(object).bytes)
      let pool = Array("aaehlot <|im_begin>東京1\u{301}".utf8)
      for length in Array(1...40) + [63, 64, 65, 127, 1_023, 5_000] {
        let word = (0..<length).map { _ in pool.randomElement(using: &generator) ?? 0 }
        #expect(tokenizer.encode(word: word) == tokenizer.encodePlainly(word: word))
      }
    }
  }

  @Test("merges in any order give what merging gives", arguments: 1...8)
  func anyMerges(_ seed: UInt64) throws {
    var generator = SeededGenerator(seed)
    var file = try #require(JSON.parse(golden("gpt2-style.json")).objectValue)
    let bytes = (file["model"]?["vocab"]?.objectValue ?? [:]).map(\.key).filter { $0.unicodeScalars.count == 1 }
    for round in 0..<40 {
      var tokens = bytes
      var letters = Array(["a", "b", "c"].prefix(.random(in: 1...3, using: &generator)))
      let alphabet = letters.joined()
      var merges: [JSON] = []
      for _ in 0..<30 {
        let sides = [letters.randomElement(using: &generator) ?? "a", letters.randomElement(using: &generator) ?? "a"]
        let merge = JSON.array(sides.map(JSON.string))
        guard sides.joined().count < 10, !merges.contains(merge) else { continue }
        merges.append(merge)
        if tokens.contains(sides.joined()) { continue }
        tokens.append(sides.joined())
        letters.append(sides.joined())
      }
      if round % 2 == 0 { merges.shuffle(using: &generator) }
      var vocabulary = JSONObject()
      for (id, token) in tokens.enumerated() { vocabulary[token] = .integer(Int64(id)) }
      file["model"] = ["type": "BPE", "vocab": .object(vocabulary), "merges": .array(merges)]
      file["added_tokens"] = [
        ["id": .integer(Int64(tokens.count)), "content": "<|endoftext|>", "special": true]
      ]
      let tokenizer = try Tokenizer(huggingFace: JSON.object(file).bytes)
      for _ in 0..<40 {
        let word = (0..<Int.random(in: 1...40, using: &generator)).compactMap { _ in
          alphabet.utf8.randomElement(using: &generator)
        }
        #expect(tokenizer.encode(word: word) == tokenizer.encodePlainly(word: word), "\(merges)")
      }
    }
  }

  @Test(
    "a megabyte of anything takes linear time in every style", .timeLimit(.minutes(1)), arguments: styles,
    ["a", " ", "\n ", "aab", "e\u{301}\u{323}", "\u{301}", "<|im_", "<|im_start|> ", " <left> ", "word ", "1", "東"])
  func linear(_ style: String, _ unit: String) throws {
    let tokenizer = try Self.tokenizer(style)
    let text = String(repeating: unit, count: 1_000_000 / unit.utf8.count)
    let clock = ContinuousClock()
    // Generous, as other tests run beside this one; a quadratic way would take minutes.
    #expect(clock.measure { _ = tokenizer.encodeWithAddedTokens(text) } < .seconds(20))
  }

  @Test(
    "random hostile texts and broken UTF-8 have the peer's ids",
    .enabled(if: Python.has("tokenizers"), "PyPI's tokenizers is not installed"))
  func random() throws {
    var generator = SystemRandomNumberGenerator()
    let seed = UInt64.random(in: 0...9_999_999, using: &generator)
    let goldens = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Goldens")
    let script = goldens.appendingPathComponent("make_styles.py").path
    let made = try Python.run(
      "import runpy, sys; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')",
      [script, "\(seed)", "2000"])
    let list = try JSON.parse(Array(made.output.utf8))
    var texts = (list.arrayValue ?? []).compactMap(\.stringValue)
    #expect(texts.count == 2_000)
    // Broken UTF-8 is repaired before it is a text; both sides repair alike.
    let seeds: [UInt8] = [
      0x61, 0x20, 0xC3, 0xA9, 0xE6, 0x9D, 0xB1, 0xF0, 0x9F, 0x98, 0x80, 0xED, 0xA0, 0xFF, 0xC0, 0xF4,
    ]
    let broken = (0..<500).map { _ in (0..<20).compactMap { _ in seeds.randomElement(using: &generator) } }
    texts += broken.map { String(decoding: $0, as: UTF8.self) }
    try Self.compare(texts, broken: broken, note: "seed \(seed)")
  }

  @Test(
    "every Unicode scalar has the peer's ids, alone and behind a letter",
    .enabled(if: Python.has("tokenizers"), "PyPI's tokenizers is not installed"))
  func everyScalar() throws {
    // Beyond U+3347F only the tags and variation selectors of plane 14 are assigned.
    let scalars = (Array(UInt32(0)..<0x33480) + Array(0xE0000..<0xE0200)).compactMap(Unicode.Scalar.init)
    let texts = stride(from: 0, to: scalars.count, by: 64).map { start in
      scalars[start..<min(start + 64, scalars.count)].map { "a\($0) \($0)'" }.joined(separator: "1")
    }
    try Self.compare(texts, broken: [], note: "scalars")
  }

  /// Asks the peer for the ids of all texts; `broken` are the bytes of the last of them before they were repaired.
  private static func compare(_ texts: [String], broken: [[UInt8]], note: Comment) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("retort-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let goldens = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Goldens").path
    for style in styles {
      let tokenizer = try tokenizer(style)
      func ids(_ adds: Bool) -> JSON {
        .array(
          texts.map { text in
            .array(tokenizer.encodeWithAddedTokens(text, addingSpecialTokens: adds).map { .integer(Int64($0)) })
          })
      }
      let cases: JSON = [
        "texts": .array(texts.map(JSON.string)), "ids": [ids(true), ids(false)],
        "broken": .array(broken.map { .array($0.map { .integer(Int64($0)) }) }),
      ]
      let path = folder.appendingPathComponent("\(style).json").path
      try Data(cases.bytes).write(to: URL(fileURLWithPath: path))
      let program = """
        import json, sys
        from tokenizers import Tokenizer
        c = json.load(open(sys.argv[1]))
        t = Tokenizer.from_file(sys.argv[2])
        bad = [ascii(x) for x, b in zip(c["texts"][-len(c["broken"]):], c["broken"]) if bytes(b).decode("utf-8", "replace") != x]
        for special, ids in zip([True, False], c["ids"]):
            bad += [ascii(x) for x, i in zip(c["texts"], ids) if t.encode(x, add_special_tokens=special).ids != i]
        print(len(c["texts"]), bad[:3])
        """
      let result = try Python.run(program, [path, "\(goldens)/\(style).json"])
      #expect(result.output == "\(texts.count) []\n", note)
    }
  }
}
