import Testing
import Tokenization
import Topics

/// Every row of real data there and back; skipped where the data is not beside the repository.
@Suite("Real requests")
struct SharedDataTests {
  @Test(
    "every call of the data comes back from its answer, and values have the request's pieces",
    .enabled(
      if: SharedData.has("snips") && SharedData.has("banking77"), "no ../shared/data, and RETORT_DATA is not set"),
    arguments: ["snips", "banking77"])
  func roundTrip(_ name: String) throws {
    let functions = try SharedData.functions(name)
    let rows = try SharedData.rows(name)
    let tokenizer = try Tokenizer.train(
      rows.map(\.text), vocabularySize: 2048, spaceFused: 384, structure: CallCodec.structureTokens(for: functions))
    let codec = try CallCodec(tokenizer: tokenizer, functions: functions)
    var (values, same, tokens) = (0, 0, 0)
    for row in rows {
      let ids = try codec.answer(row.call, request: row.text)
      tokens += ids.count
      let text = CallCodec.canonicalText(of: row.call, request: row.text, functions: functions)
      let bytes = tokenizer.decode(ids)
      let back = try codec.call(fromAnswer: bytes)
      if bytes != Array(text.utf8) || back != row.call { Issue.record("\(row.text): \(text)") }
      let request = pieces(tokenizer, row.text)
      for value in row.call.arguments.flatMap({ strings($0.value) }) {
        guard let place = place(of: value, in: row.text) else { continue }
        values += 1
        if isSlice(pieces(tokenizer, value), of: request, at: place) { same += 1 }
      }
    }
    if values > 0 {
      print(
        "\(name): \(same) of \(values) values have the pieces of their request; \(tokens / rows.count) tokens an answer"
      )
      #expect(Double(same) > 0.97 * Double(values))
    }
    #expect(rows.count > 10_000)
  }

  private func strings(_ value: JSON) -> [String] {
    value.stringValue.map { [$0] } ?? value.arrayValue?.flatMap { strings($0) } ?? []
  }

  private func pieces(_ tokenizer: Tokenizer, _ text: String) -> [[UInt8]] {
    tokenizer.encode(text).map(tokenizer.bytes)
  }

  /// The first place, in bytes, where `value` stands as whole words.
  private func place(of value: String, in text: String) -> Int? {
    let (value, text) = (Array(value.utf8), Array(text.utf8))
    guard !value.isEmpty, value.count <= text.count else { return nil }
    func isWord(_ byte: UInt8) -> Bool {
      byte >= 0x80 || Character(Unicode.Scalar(byte)).isLetter || (48...57).contains(byte)
    }
    return (0...(text.count - value.count)).first { start in
      let end = start + value.count
      return text[start..<end].elementsEqual(value) && (start == 0 || !isWord(text[start - 1]) || !isWord(value[0]))
        && (end == text.count || !isWord(text[end]) || !isWord(value[value.count - 1]))
    }
  }

  /// Whether the request's pieces from `place` on are the value's, save that the first may have a space fused.
  private func isSlice(_ value: [[UInt8]], of request: [[UInt8]], at place: Int) -> Bool {
    var offset = 0
    for (index, piece) in request.enumerated() {
      let isFused = offset + 1 == place && piece.first == 0x20 && piece.count > 1
      if offset == place || isFused {
        let slice = request[index...].prefix(value.count)
        return slice.count == value.count && slice.dropFirst().elementsEqual(value.dropFirst())
          && Array(piece.dropFirst(isFused ? 1 : 0)) == value.first
      }
      offset += piece.count
    }
    return false
  }
}
