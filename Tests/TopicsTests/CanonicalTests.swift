import Testing
import Topics

/// The test vectors of RFC 8785 itself.
@Suite("Canonical JSON (RFC 8785)")
struct CanonicalTests {
  @Test("Numbers are written as appendix B has them")
  func numbers() {
    let vectors: [(UInt64, String)] = [
      (0x0000_0000_0000_0000, "0"), (0x8000_0000_0000_0000, "0"), (0x0000_0000_0000_0001, "5e-324"),
      (0x8000_0000_0000_0001, "-5e-324"), (0x7FEF_FFFF_FFFF_FFFF, "1.7976931348623157e+308"),
      (0xFFEF_FFFF_FFFF_FFFF, "-1.7976931348623157e+308"), (0x4340_0000_0000_0000, "9007199254740992"),
      (0xC340_0000_0000_0000, "-9007199254740992"), (0x4430_0000_0000_0000, "295147905179352830000"),
      (0x44B5_2D02_C7E1_4AF5, "9.999999999999997e+22"), (0x44B5_2D02_C7E1_4AF6, "1e+23"),
      (0x44B5_2D02_C7E1_4AF7, "1.0000000000000001e+23"), (0x444B_1AE4_D6E2_EF4E, "999999999999999700000"),
      (0x444B_1AE4_D6E2_EF4F, "999999999999999900000"), (0x444B_1AE4_D6E2_EF50, "1e+21"),
      (0x3EB0_C6F7_A0B5_ED8C, "9.999999999999997e-7"), (0x3EB0_C6F7_A0B5_ED8D, "0.000001"),
      (0x41B3_DE43_5555_5553, "333333333.3333332"), (0x41B3_DE43_5555_5554, "333333333.33333325"),
      (0x41B3_DE43_5555_5555, "333333333.3333333"), (0x41B3_DE43_5555_5556, "333333333.3333334"),
      (0x41B3_DE43_5555_5557, "333333333.33333343"), (0xBECB_F647_612F_3696, "-0.0000033333333333333333"),
      (0x4314_3FF3_C1CB_0959, "1424953923781206.2"),
    ]
    for (bits, text) in vectors {
      #expect(String(decoding: JSON.number(Double(bitPattern: bits)).canonical, as: UTF8.self) == text)
    }
    #expect(JSON.number(.nan).canonical == Array("null".utf8))
    #expect(JSON.number(.infinity).canonical == Array("null".utf8))
  }

  @Test("The example of section 3.2.2 has the bytes of section 3.2.4")
  func example() throws {
    let input = #"""
      {
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
      }
      """#
    let hex = """
      7b 22 6c 69 74 65 72 61 6c 73 22 3a 5b 6e 75 6c 6c 2c 74 72 75 65 2c 66 61 6c 73 65 5d 2c 22 6e 75 6d 62 65 72 73
      22 3a 5b 33 33 33 33 33 33 33 33 33 2e 33 33 33 33 33 33 33 2c 31 65 2b 33 30 2c 34 2e 35 2c 30 2e 30 30 32 2c 31
      65 2d 32 37 5d 2c 22 73 74 72 69 6e 67 22 3a 22 e2 82 ac 24 5c 75 30 30 30 66 5c 6e 41 27 42 5c 22 5c 5c 5c 5c 5c
      22 2f 22 7d
      """
    let expected = hex.split(whereSeparator: \.isWhitespace).compactMap { UInt8($0, radix: 16) }
    #expect(try JSON.parse(input).canonical == expected)
  }

  @Test("Keys are sorted by UTF-16 code units as in section 3.2.3")
  func order() throws {
    let input = #"""
      {
        "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
        "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis"
      }
      """#
    let sorted = try JSON.parse(try JSON.parse(input).canonical)
    #expect(
      sorted.objectValue?.values == [
        "Carriage Return", "One", "Control", "Latin Small Letter O With Diaeresis", "Euro Sign", "Emoji: Grinning Face",
        "Hebrew Letter Dalet With Dagesh",
      ])
  }

  @Test("Whole numbers are written as the doubles they are to others")
  func integers() {
    #expect(JSON.integer(9_007_199_254_740_992).canonical == Array("9007199254740992".utf8))
    #expect(JSON.integer(9_007_199_254_740_993).canonical == Array("9007199254740992".utf8))
    #expect(JSON.integer(.max).canonical == Array("9223372036854776000".utf8))
    #expect(JSON.integer(.min).canonical == Array("-9223372036854776000".utf8))
    #expect(JSON.integer(.min).sorted == Array("-9223372036854775808".utf8))
    #expect(JSON.number(3).canonical == JSON.integer(3).canonical)
  }

  @Test("Values are equal exactly when their canonical forms are")
  func equality() throws {
    let values: [JSON] = [nil, false, true, 0, 1, 1.5, "", "1", [], [1], [1, 2], [2, 1], [:], ["a": 1], ["a": [1]]]
    for (i, left) in values.enumerated() {
      for (j, right) in values.enumerated() {
        #expect((left.canonical == right.canonical) == (i == j))
        #expect((left == right) == (i == j))
      }
    }
  }
}
