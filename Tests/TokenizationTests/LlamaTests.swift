import Foundation
import ModelFiles
import PythonPeers
import Testing
import Tokenization
import Topics

/// What llama.cpp makes of a model with a trained tokenizer; skipped where PyPI's llama-cpp-python is not installed.
@Suite("llama.cpp")
struct LlamaTests {
  @Test(
    "llama.cpp loads the file, and gives the same ids for prompts and the same text for answers",
    .enabled(if: Python.has("llama_cpp"), "PyPI's llama-cpp-python is not installed"))
  func sameTokens() throws {
    let functions = try everyKind()
    let tokenizer = try TokenizerTests.trained()
    let codec = try CallCodec(tokenizer: tokenizer, functions: functions)
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("retort-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let model = folder.appendingPathComponent("model.gguf").path
    try write(tokenizer, to: model)

    // Requests without a quote before a comma, brace or bracket: llama.cpp matches structure tokens within them.
    let texts = sentences.filter { !$0.contains("\"") } + ["it's  two\n\nlines\t\u{a0}x", "東京 7½ é'S!?...\r\n ", ""]
    let call = Call(name: "book", arguments: ["place": "Straße", "people": 2, "tags": ["a", "b c"]])
    let answer = try codec.answer(call, request: "Straße 2").dropLast()
    let text = CallCodec.canonicalText(of: call, request: "Straße 2", functions: functions)
    let cases: JSON = [
      "prompts": .array(texts.map { .string(codec.promptText([.user($0)])) }),
      "ids": .array(texts.map { .array(codec.prompt([.user($0)]).map { .integer(Int64($0)) }) }),
      "answer": .array(answer.map { .integer(Int64($0)) }), "answer_text": .string(text),
    ]
    try Data(cases.bytes).write(to: folder.appendingPathComponent("cases.json"))
    let program = """
      import json, sys
      from llama_cpp import Llama
      c = json.load(open(sys.argv[1] + "/cases.json"))
      m = Llama(sys.argv[1] + "/model.gguf", n_ctx=64, n_threads=1, verbose=False)
      bad = [p for p, i in zip(c["prompts"], c["ids"]) if m.tokenize(p.encode(), add_bos=False, special=True) != i]
      if m.detokenize(c["answer"]).decode() != c["answer_text"]: bad.append(m.detokenize(c["answer"]))
      m.eval(c["ids"][0])
      print(m.n_vocab(), m.token_eos(), m.metadata["tokenizer.ggml.pre"], bad[:3])
      """
    let result = try Python.run(program, [folder.path])
    #expect(result.output == "\(tokenizer.vocabularySize) \(tokenizer.controls.endOfText) qwen2 []\n")
  }

  private func write(_ tokenizer: Tokenizer, to path: String) throws {
    let configuration = DecoderConfiguration(
      vocabularySize: tokenizer.vocabularySize, hiddenSize: 64, layerCount: 2, headCount: 2, keyValueHeadCount: 1,
      feedForwardSize: 96, maximumPositions: 128)
    var writer = GGUFWriter()
    try writer.set(configuration, name: "tiny", fileType: .q8)
    try writer.set(
      GGUFVocabulary(
        tokens: tokenizer.ggufTokens, types: tokenizer.ggufTypes, merges: tokenizer.ggufMerges,
        endOfText: Int(tokenizer.controls.endOfText), chatTemplate: CallCodec.chatTemplate))
    var generator = SeededGenerator(8)
    for (name, shape) in configuration.parameters {
      let name = try #require(GGUFNames.gguf(name))
      let values = (0..<shape.reduce(1, *)).map { _ in Float.random(in: -0.1...0.1, using: &generator) }
      if shape.count == 1 {
        try writer.add(name, type: .f32, shape: shape, values.withUnsafeBytes { Array($0) })
      } else {
        try writer.add(name, type: .q8_0, shape: shape, Quantization.q8_0(values))
      }
    }
    _ = try writer.write(to: path)
  }
}
