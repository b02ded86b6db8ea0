import Inference
import Testing

@Suite("The automaton of pieces")
struct SubstringTests {
  @Test("It knows exactly the contiguous pieces", arguments: 0..<40)
  func pieces(_ seed: Int) {
    var random = RandomSource(UInt64(seed))
    let letters = Array("abé ”")
    let texts = (0..<Int.random(in: 1...3, using: &random)).map { _ in
      String((0..<Int.random(in: 0...12, using: &random)).map { _ in letters.randomElement(using: &random) ?? "a" })
    }
    let automaton = SubstringAutomaton(texts)
    for _ in 0..<300 {
      let probe = Array(
        String((0..<Int.random(in: 1...5, using: &random)).map { _ in letters.randomElement(using: &random) ?? "a" })
          .utf8)
      var state: Int32 = 0
      for byte in probe where state >= 0 { state = automaton.advance(state, byte) }
      let occurs = texts.contains { text in
        // White space at the end of a text is in no piece.
        let end = text.lastIndex { $0 != " " }.map { text.index(after: $0) } ?? text.startIndex
        let bytes = Array(text[..<end].utf8)
        return bytes.indices.contains { bytes[$0...].starts(with: probe) }
      }
      #expect((state >= 0) == occurs)
    }
  }

  @Test("It stays linear on long and repetitive texts")
  func size() {
    let text = String(repeating: "the same words again and ", count: 2_000) + "on"
    let automaton = SubstringAutomaton([text])
    var state: Int32 = 0
    for byte in text.utf8 { state = automaton.advance(state, byte) }
    #expect(state >= 0)
    #expect(automaton.advance(state, UInt8(ascii: "n")) < 0)
  }
}
