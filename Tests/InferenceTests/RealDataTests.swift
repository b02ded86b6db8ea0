import Foundation
import Inference
import Testing
import Tokenization
import Topics

/// Real requests and calls; skipped where the data folder is absent.
@Suite("The constraint on real data")
struct RealDataTests {
  /// The data folder: RETORT_DATA, or `../shared/data` beside the package.
  static let folder: String = {
    if let path = ProcessInfo.processInfo.environment["RETORT_DATA"] { return path }
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return root.deletingLastPathComponent().appendingPathComponent("shared/data").path
  }()

  static var isThere: Bool { FileManager.default.fileExists(atPath: folder + "/snips/valid.jsonl") }

  private static func rows(_ path: String, limit: Int) throws -> [(text: String, call: Call)] {
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    return try lines.prefix(limit).map { line in
      let json = try JSON.parse(String(line))
      let call = try #require(json["call"])
      return (try #require(json["text"]?.stringValue), try Call(json: call))
    }
  }

  @Test(
    "Every token of every labelled call is allowed, and forced tokens are those of the label",
    .enabled(if: isThere, "the data folder is not there"),
    arguments: [("snips", "valid.jsonl"), ("banking77", "train.jsonl")])
  func labels(_ set: String, _ file: String) throws {
    let path = Self.folder + "/" + set
    let functions = try FunctionSet(
      json: JSON.parse([UInt8](Data(contentsOf: URL(fileURLWithPath: path + "/functions.json")))))
    let rows = try Self.rows(path + "/" + file, limit: 700)
    let tokenizer = try Tokenizer.train(
      rows.map(\.text), vocabularySize: 2_048, structure: CallCodec.structureTokens(for: functions))
    let codec = try CallCodec(tokenizer: tokenizer, functions: functions)
    let bytes = (0..<Int32(tokenizer.vocabularySize)).map { tokenizer.bytes(of: $0) }
    let structure = Set(CallCodec.structureTokens(for: functions).compactMap { tokenizer.structure($0) })
    let grammar = try AnswerGrammar(functions)
    let constraint = AnswerConstraint(
      grammar: grammar, vocabulary: ConstraintVocabulary(bytes: bytes, structure: structure))
    var (tokens, forced) = (0, 0)
    for row in rows {
      let context = RequestContext(grammar: grammar, texts: [row.text])
      var state = constraint.start(context)
      for token in try codec.answer(row.call, request: row.text).dropLast() {
        let allowed = constraint.allowed(state, context)
        tokens += 1
        if allowed.forced >= 0 {
          forced += 1
          #expect(allowed.forced == token, "\(row.call.json)")
        }
        try #require(allowed.ids.contains(token), "\(row.text): \(row.call.json): \(codec.tokenizer.bytes(of: token))")
        state = constraint.advance(state, token: token, context)
      }
      #expect(state.isComplete)
    }
    #expect(tokens > rows.count && forced < tokens)
  }
}
