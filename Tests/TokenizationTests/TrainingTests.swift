import Foundation
import PythonPeers
import Testing
import Tokenization
import Topics

@Suite("Training a tokenizer")
struct TrainingTests {
  @Test("the order of the texts does not matter")
  func deterministic() throws {
    var generator = SeededGenerator(4)
    let first = try Tokenizer.train(sentences, vocabularySize: 600, spaceFused: 30, structure: ["{}"])
    let second = try Tokenizer.train(
      sentences.shuffled(using: &generator), vocabularySize: 600, spaceFused: 30, structure: ["{}"])
    #expect(first.digest == second.digest)
    #expect(first.huggingFaceJSON == second.huggingFaceJSON)
  }

  @Test("ids are bytes, merges, controls, structure and reserved ones, a multiple of 32")
  func layout() throws {
    let structure = ["\"a\":", ",", "}}"]
    let tokenizer = try Tokenizer.train(sentences, vocabularySize: 410, spaceFused: 10, structure: structure)
    #expect(tokenizer.vocabularySize == 416)
    #expect((0..<256).allSatisfy { tokenizer.bytes(of: $0) == [UInt8($0)] })
    let base = Int32(tokenizer.baseCount)
    #expect(tokenizer.controls.endOfText == base && tokenizer.controls.user == base + 1)
    #expect(tokenizer.controls.assistant == base + 2 && tokenizer.controls.system == base + 3)
    #expect(tokenizer.controls.tool == base + 4 && tokenizer.controls.call == base + 5)
    #expect(tokenizer.structureTexts == ["\"a\":", "}}"])
    #expect(tokenizer.structure("}}") == base + 7)
    #expect(tokenizer.structure(",") == Int32(UInt8(ascii: ",")))
    #expect(tokenizer.structure("\"b\":") == nil)
    #expect(tokenizer.bytes(of: base + 6) == Array("\"a\":".utf8))
    #expect(tokenizer.bytes(of: base) == [])
    #expect(Set(tokenizer.ggufTokens).count == 416)
  }

  @Test("a word after a space has the pieces of the bare word, the first with the space fused or in front")
  func fusedSpaces() throws {
    let tokenizer = try TokenizerTests.trained()
    var fused = 0
    for word in Set(sentences.joined(separator: " ").split(separator: " ").map(String.init)) {
      let bare = tokenizer.encode(word).map(tokenizer.bytes)
      let spaced = tokenizer.encode(" " + word).map(tokenizer.bytes)
      if spaced.count == bare.count {
        fused += 1
        #expect(spaced.first == [0x20] + (bare.first ?? []) && spaced.dropFirst() == bare.dropFirst(), "\(word)")
      } else {
        #expect(spaced == [[0x20]] + bare, "\(word)")
      }
    }
    #expect(fused > 20)
  }

  @Test("vocabularies without room for what must be there are refused")
  func tooSmall() {
    #expect { try Tokenizer.train(sentences, vocabularySize: 280, spaceFused: 40, structure: []) } throws: {
      ($0 as? TokenizationError)?.code == .vocabularySize
    }
    #expect { try Tokenizer.train(["a"], vocabularySize: 512, structure: ["a b", "a b"]) } throws: {
      ($0 as? TokenizationError)?.code == .invalidArgument
    }
    #expect(throws: TokenizationError.self) { try Tokenizer.train(["a"], vocabularySize: 512, structure: ["é"]) }
  }

  @Test("a trained tokenizer comes back from its files as the same one")
  func files() throws {
    let tokenizer = try TokenizerTests.trained()
    let gguf = try Tokenizer(
      ggufTokens: tokenizer.ggufTokens, types: tokenizer.ggufTypes, merges: tokenizer.ggufMerges)
    let huggingFace = try Tokenizer(huggingFace: tokenizer.huggingFaceJSON)
    for other in [gguf, huggingFace] {
      #expect(other.digest == tokenizer.digest)
      #expect(other.controls == tokenizer.controls)
      #expect(other.structureTexts == tokenizer.structureTexts)
      for text in sentences.prefix(50) { #expect(other.encode(text) == tokenizer.encode(text)) }
    }
  }

  @Test("no texts at all give a vocabulary of bytes and controls")
  func nothing() throws {
    let tokenizer = try Tokenizer.train([String](), vocabularySize: 4096, structure: [])
    #expect(tokenizer.vocabularySize == 288)
    #expect(tokenizer.encode("é") == [0xC3, 0xA9])
  }

  @Test("structure tokens are added after all ids, unless the text is one token already")
  func adding() throws {
    let tokenizer = try Tokenizer(huggingFace: golden("qwen2-style.json"))
    let more = try tokenizer.adding(structure: ["{\"name\":\"f\",\"arguments\":{", ",", "\"k\":\""])
    #expect(more.vocabularySize == tokenizer.vocabularySize + 2)
    #expect(more.structure("\"k\":\"") == Int32(tokenizer.vocabularySize + 1))
    #expect(more.encode("Play some songs, please") == tokenizer.encode("Play some songs, please"))
    #expect(try Tokenizer(huggingFace: more.huggingFaceJSON).digest == more.digest)
    #expect(more.digest != tokenizer.digest)
    #expect(try more.adding(structure: ["\"k\":\""]).vocabularySize == more.vocabularySize)
    #expect(throws: TokenizationError.self) { try tokenizer.adding(structure: ["<|im_end|>"]) }
  }

  @Test(
    "Hugging Face's tokenizers gives the same ids for texts, and for whole prompts",
    .enabled(if: Python.has("tokenizers", "transformers"), "PyPI's tokenizers and transformers are not installed"))
  func huggingFace() throws {
    let functions = try everyKind()
    let tokenizer = try TokenizerTests.trained()
    let codec = try CallCodec(tokenizer: tokenizer, functions: functions)
    var generator = SeededGenerator(6)
    let pool = Array("abé ß東 'sSll!?.\n\r\t7½-Straßecafé").map(String.init)
    let texts =
      sentences.prefix(200)
      + (0..<300).map { _ in
        (0..<20).map { _ in pool.randomElement(using: &generator) ?? "" }.joined()
      }
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("retort-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    func write(_ name: String, _ bytes: [UInt8]) throws {
      try Data(bytes).write(to: folder.appendingPathComponent(name))
    }
    try write("tokenizer.json", tokenizer.huggingFaceJSON)
    let configuration: JSON = [
      "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>", "add_prefix_space": false,
      "clean_up_tokenization_spaces": false, "chat_template": .string(CallCodec.chatTemplate),
    ]
    try write("tokenizer_config.json", configuration.bytes)
    let conversations: [[ChatMessage]] =
      texts.map { [.user($0)] } + [
        [
          .system("Be brief."), .user("Hello\n"), ChatMessage(role: .assistant, content: " x "), .user("a"),
          ChatMessage(role: .tool, content: "{\"r\": 1}"),
        ]
      ]
    let call = Call(name: "book", arguments: ["place": "Berlin", "people": 2, "tags": ["a", "b c"]])
    let answer = try codec.answer(call, request: "in Berlin for 2")
    let cases: JSON = [
      "texts": .array(texts.map(JSON.string)),
      "ids": .array(texts.map { .array(tokenizer.encode($0).map { .integer(Int64($0)) }) }),
      "messages": .array(conversations.map { .array($0.map(\.json)) }),
      "prompts": .array(conversations.map { .array(codec.prompt($0).map { .integer(Int64($0)) }) }),
      "prompt_texts": .array(conversations.map { .string(codec.promptText($0)) }),
      "answer": .array(answer.map { .integer(Int64($0)) }),
      "answer_text": .string(CallCodec.canonicalText(of: call, request: "in Berlin for 2", functions: functions)),
    ]
    try write("cases.json", cases.bytes)
    let program = """
      import json, sys
      from tokenizers import Tokenizer
      from transformers import AutoTokenizer
      c = json.load(open(sys.argv[1] + "/cases.json"))
      t = Tokenizer.from_file(sys.argv[1] + "/tokenizer.json")
      a = AutoTokenizer.from_pretrained(sys.argv[1])
      bad = [x for x, i in zip(c["texts"], c["ids"]) if t.encode(x, add_special_tokens=False).ids != i]
      bad += [x for x, i in zip(c["texts"], c["ids"]) if a(x)["input_ids"] != i or a.decode(i) != x]
      for m, p, s in zip(c["messages"], c["prompts"], c["prompt_texts"]):
          text = a.apply_chat_template(m, add_generation_prompt=True, tokenize=False)
          if text != s or a(text, add_special_tokens=False)["input_ids"] != p: bad.append(text)
      if a.decode(c["answer"], skip_special_tokens=True) != c["answer_text"]: bad.append(a.decode(c["answer"]))
      print(len(c["texts"]), len(a) , bad[:3])
      """
    let result = try Python.run(program, [folder.path])
    #expect(result.output == "500 \(tokenizer.vocabularySize) []\n")
  }
}
