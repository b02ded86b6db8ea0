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

  /// Long texts that repeat themselves, are of many bytes a character, or have nearly all bytes that text can have.
  private static let long: [String] = {
    var random = RandomSource(7)
    func text(_ count: Int, of letters: [Character]) -> String {
      String((0..<count).map { _ in letters.randomElement(using: &random) ?? "a" })
    }
    var scalars = String.UnicodeScalarView()
    for _ in 0..<15_000 {
      let number = UInt32.random(in: 0..<0x2_0000, using: &random) >> UInt32.random(in: 0...12, using: &random)
      if let scalar = Unicode.Scalar(number) { scalars.append(scalar) }
    }
    // Each letter stands between two equal halves: a piece goes on in many ways.
    var halves = "b"
    for letter in "acdefghijklm" { halves += String(letter) + halves }
    return [
      String(repeating: "a", count: 50_000),
      String(repeating: "the same words again and ", count: 2_000) + "on",
      String(repeating: "né “漢字” 🙂-7… ", count: 2_000),
      String(repeating: "-", count: 20_000) + "a" + String(repeating: "-", count: 20_000),
      halves, text(40_000, of: Array("ab")), text(20_000, of: Array("abé” 🙂\n.7")), String(scalars),
    ]
  }()

  /// The bytes of a text without the white space at its end, which is in no piece.
  private static func trimmed(_ text: String) -> [UInt8] {
    var bytes = Array(text.utf8)
    while let last = bytes.last, last == 0x20 || (0x09...0x0D).contains(last) { bytes.removeLast() }
    return bytes
  }

  @Test("In long texts, too, exactly the bytes that follow a piece somewhere lead on from it", arguments: long.indices)
  func following(_ number: Int) throws {
    var random = RandomSource(UInt64(number))
    let texts = [Self.long[number], "né and on", ""]
    let automaton = SubstringAutomaton(texts)
    // −1 ends each text.
    let bytes = texts.flatMap { text in Self.trimmed(text).map { Int($0) } + [-1] }
    let starts = bytes.indices.filter { bytes[$0] >= 0 && bytes[$0] & 0xC0 != 0x80 }
    for _ in 0..<12 {
      var place = try #require(starts.randomElement(using: &random))
      var state: Int32 = 0
      /// Behind each occurrence of what was read.
      var behind = Array(bytes.indices)
      for _ in 0..<60 {
        var follows = [Bool](repeating: false, count: 256)
        for position in behind where bytes[position] >= 0 { follows[bytes[position]] = true }
        let leads = (0..<256).map { automaton.advance(state, UInt8($0)) >= 0 }
        #expect(leads == follows)
        let byte = bytes[place]
        guard byte >= 0 else { break }
        state = automaton.advance(state, UInt8(byte))
        try #require(state >= 0)
        behind = behind.filter { bytes[$0] == byte }.map { $0 + 1 }
        place += 1
      }
    }
  }

  @Test("It stays linear on long and repetitive texts, whichever bytes they are", arguments: long.indices)
  func size(_ number: Int) throws {
    let text = Self.long[number]
    let automaton = SubstringAutomaton([text])
    #expect(automaton.entryCount < 34 * (text.utf8.count + 1))
    var state: Int32 = 0
    for byte in Self.trimmed(text) {
      state = automaton.advance(state, byte)
      try #require(state >= 0)
    }
    #expect((UInt8.min...UInt8.max).allSatisfy { automaton.advance(state, $0) < 0 })
  }
}
