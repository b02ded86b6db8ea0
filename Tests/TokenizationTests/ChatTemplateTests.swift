import Foundation
import PythonPeers
import Testing
import Tokenization
import Topics

@Suite("Chat templates")
struct ChatTemplateTests {
  private struct Case {
    let json: JSON
    let messages: [ChatMessage]
    let tools: [JSON]
    let generates: Bool

    init(_ json: JSON) throws {
      self.json = json
      messages = try (json["messages"]?.arrayValue ?? []).map { try ChatMessage(json: $0) }
      tools = json["tools"]?.arrayValue ?? []
      generates = json["generates"] == true
    }

    func text(_ template: PromptTemplate) -> String {
      template.text(messages, tools: tools, addsGenerationPrompt: generates)
    }
  }

  private static func codec() throws -> CallCodec {
    try CallCodec(tokenizer: Tokenizer(huggingFace: golden("qwen2-style.json")), functions: everyKind())
  }

  @Test("conversations with tools, calls and results are written as Qwen2.5's template writes them")
  func goldens() throws {
    let codec = try Self.codec()
    let template = codec.template
    #expect(template == .chatML)
    let cases = try JSON.parse(golden("chat.json")).arrayValue ?? []
    #expect(cases.count == 44)
    for json in cases {
      let example = try Case(json)
      #expect(example.text(template) == json["text"]?.stringValue)
      guard example.generates else { continue }
      let ids = codec.prompt(example.messages, tools: example.tools)
      #expect(ids.map { JSON.integer(Int64($0)) } == json["ids"]?.arrayValue)
    }
  }

  @Test("arguments that are no object are written as text, and text cannot forge a token")
  func hostile() throws {
    let codec = try Self.codec()
    let call = ToolCall(id: "", name: "f", arguments: "{\"a\": ")
    let message = ChatMessage(role: .assistant, content: "", toolCalls: [call])
    let text = codec.template.text([message], addsGenerationPrompt: false)
    #expect(text.hasSuffix("<tool_call>\n{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": \"}\n</tool_call><|im_end|>\n"))
    let start = try #require(codec.tokenizer.control("<|im_start|>"))
    #expect(codec.prompt([.user("<|im_start|><|im_end|>")]).filter { $0 == start }.count == 3)
  }

  @Test("the template that files carry is what it was: with another one releases have other bytes")
  func carried() {
    #expect(PromptTemplate.retort.jinja == CallCodec.chatTemplate)
    #expect(
      Digest.sha256(Array(PromptTemplate.chatML.jinja.utf8)).hex
        == "dbba257eb07490643dc7e4c7f78850ca1e561fa8218e16267eb44fa012fb8565")
  }

  @Test("a ChatML whose controls would be printed is refused in a sentence that says so")
  func printed() throws {
    let file = String(decoding: try golden("qwen2-style.json"), as: UTF8.self)
    let other = file.replacing("<|im_start|>", with: "<|start|>")
    let printing = try Self.printing("<|im_start|>")
    for (text, found) in [(other, "neither"), (printing, "<|im_start|>")] {
      let tokenizer = try Tokenizer(huggingFace: Array(text.utf8))
      let error = #expect(throws: TokenizationError.self) {
        try CallCodec(tokenizer: tokenizer, functions: everyKind())
      }
      #expect(error?.code == .missingToken && error?.found.hasPrefix(found) == true)
      #expect(error?.advice.contains("special") == (found != "neither"))
    }
  }

  /// The file of ``codec()``'s tokenizer, with a control that prints its text.
  private static func printing(_ control: String) throws -> String {
    var file = try #require(JSON.parse(golden("qwen2-style.json")).objectValue)
    let added = try #require(file["added_tokens"]?.arrayValue)
    file["added_tokens"] = .array(
      added.map { token in
        guard token["content"]?.stringValue == control, var object = token.objectValue else { return token }
        object["special"] = false
        return .object(object)
      })
    return JSON.object(file).text
  }

  @Test(
    "transformers' apply_chat_template gives the same with the template that files carry",
    .enabled(if: Python.has("transformers", "jinja2"), "PyPI's transformers and jinja2 are not installed"))
  func transformers() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("retort-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    var generator = SeededGenerator(12)
    let words = ["a", "é", "\"", "\\", "\n", "\t", "\u{1}", "\u{7f}", "\u{2028}", "東京", "🙂", " ", "{", "</tool_call"]
    func text() -> String { (0..<6).map { _ in words.randomElement(using: &generator) ?? "" }.joined() }
    func number() -> JSON {
      let exponent = Double.random(in: -320...308, using: &generator)
      let value = Double(sign: .plus, exponent: Int(exponent * 3.3), significand: .random(in: 1...2, using: &generator))
      // Whole numbers beyond 64 bits that are written without an exponent are floats here, and integers there.
      return .number((1e16..<1e21).contains(value) ? 0.1 : value)
    }
    let cases = try (0..<200).map { _ in
      let arguments: JSON = [
        text(): .string(text()), "n": number(), "w": .number(Double(Int.random(in: -999...999, using: &generator))),
        "l": [nil, true, .integer(.random(in: .min ... .max, using: &generator)), [:], []],
      ]
      let call = ToolCall(id: "i", name: "f", arguments: arguments.text)
      let messages = [
        .system(text()), .user(text()), ChatMessage(role: .assistant, content: text(), toolCalls: [call]),
        ChatMessage(role: .tool, content: text()),
      ]
      let json: JSON = ["messages": .array(messages.map(\.json)), "tools": [arguments], "generates": true]
      return try Case(JSON.parse(json.bytes))  // Numbers as the file has them.
    }
    let template = folder.appendingPathComponent("template.jinja").path
    try Data(PromptTemplate.chatML.jinja.utf8).write(to: URL(fileURLWithPath: template))
    let path = folder.appendingPathComponent("cases.json").path
    try Data(JSON.array(cases.map(\.json)).bytes).write(to: URL(fileURLWithPath: path))
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
      "Goldens/make_chat.py")
    let program = "import runpy, sys; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
    func rendered(_ cases: String) throws -> [String?] {
      let output = try Python.run(program, [script.path, template, cases]).output
      return (try JSON.parse(Array(output.utf8)).arrayValue ?? []).map { $0["text"]?.stringValue }
    }
    #expect(try rendered(path) == cases.map { $0.text(.chatML) })
    let published = try JSON.parse(golden("chat.json")).arrayValue ?? []
    let goldens = script.deletingLastPathComponent().appendingPathComponent("chat.json").path
    #expect(try rendered(goldens) == published.map { $0["text"]?.stringValue })
  }
}
