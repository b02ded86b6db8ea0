import Testing
import Topics

@Suite("JSON: values, parsing and writing")
struct JSONTests {
  private static func code(_ text: String, depth: Int = 64, bytes: Int = 16 << 20) -> JSONError.Code? {
    code(Array(text.utf8), depth: depth, bytes: bytes)
  }

  private static func code(_ bytes: [UInt8], depth: Int = 64, bytes maximum: Int = 16 << 20) -> JSONError.Code? {
    do throws(JSONError) {
      _ = try JSON.parse(bytes, maximumDepth: depth, maximumBytes: maximum)
      return nil
    } catch {
      return error.code
    }
  }

  @Test("Every kind of value is read")
  func values() throws {
    let text =
      #" { "a" : [ null , true,false, 0, -12, 1.5, 1e3, -2.5E-3 ] , "b\n" : "x\u00e9\ud83d\ude97\/\\" , "" : {} } "#
    let json = try JSON.parse(text)
    #expect(json["a"] == [nil, true, false, 0, -12, 1.5, 1000, -0.0025])
    #expect(json["b\n"] == "xé🚗/\\")
    #expect(json[""] == [:])
    #expect(json.objectValue?.keys == ["a", "b\n", ""])
    #expect(json["a"]?[4]?.integerValue == -12)
    #expect(json["a"]?[99] == nil)
    #expect(try JSON.parse("7") == 7)
  }

  @Test("Whole numbers are exact to 64 bits; beyond they are doubles")
  func numbers() throws {
    let cases: [(String, JSON)] = [
      ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
      ("9223372036854775808", .number(9_223_372_036_854_775_808)),
      ("922337203685477580", .integer(922_337_203_685_477_580)),
      ("9223372036854775799", .integer(9_223_372_036_854_775_799)), ("-0", .integer(0)),
      ("9007199254740993", .integer(9_007_199_254_740_993)), ("1e22", .number(1e22)), ("1e23", .number(1e23)),
      ("0.1", .number(0.1)), ("123456789012345678901234567890", .number(1.2345678901234568e29)),
      ("2.2250738585072011e-308", .number(Double(bitPattern: 0x000F_FFFF_FFFF_FFFF))),
      ("5e-324", .number(.leastNonzeroMagnitude)),
      ("1.7976931348623157e308", .number(1.7976931348623157e308)), ("1e-400", .number(0)),
    ]
    for (text, expected) in cases { #expect(try JSON.parse(text) == expected, "\(text)") }
    #expect(try JSON.parse("9007199254740993") != .number(9_007_199_254_740_992))
    #expect(Self.code("1e309") == .numberOutOfRange)
    #expect(Self.code("-1e999999999999999999999") == .numberOutOfRange)
    #expect(Self.code(String(repeating: "9", count: 400)) == .numberOutOfRange)
    #expect(Self.code("0." + String(repeating: "1", count: 100_000)) == .numberOutOfRange)
  }

  @Test("Numbers read and written by Swift and by us are the same", arguments: [UInt64(1), 2, 3])
  func randomNumbers(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<3_000 {
      let value = Double(bitPattern: generator.next())
      guard value.isFinite else { continue }
      #expect(try JSON.parse(value.description).doubleValue == value)
      #expect(try JSON.parse(JSON.number(value).bytes).doubleValue == value)
      let short = Double(Int.random(in: -99_999...99_999, using: &generator)) / 1_000
      #expect(try JSON.parse(short.description).doubleValue == short)
    }
  }

  @Test("What is not JSON is refused with its code")
  func refused() {
    let cases: [(String, JSONError.Code)] = [
      ("", .truncated), (" ", .truncated), ("[", .truncated), ("{\"a\":", .truncated), ("\"abc", .truncated),
      ("\"\\", .truncated), ("\"\\u12", .truncated), ("tru", .truncated), ("-", .truncated), ("1.", .truncated),
      ("1e", .truncated), ("[1,]", .unexpectedByte), ("{,}", .unexpectedByte), ("{\"a\":1,}", .unexpectedByte),
      ("{a:1}", .unexpectedByte), ("[1 2]", .unexpectedByte), ("01", .trailingBytes), ("-01", .trailingBytes),
      ("+1", .unexpectedByte), (".5", .unexpectedByte), ("1.e3", .unexpectedByte), ("NaN", .unexpectedByte),
      ("nul1", .unexpectedByte), ("'a'", .unexpectedByte), ("\"a\tb\"", .unexpectedByte),
      ("\"\u{0}\"", .unexpectedByte),
      ("[] []", .trailingBytes), ("1 // one", .trailingBytes), ("\"\\x\"", .invalidEscape),
      ("\"\\u12g4\"", .invalidEscape), ("\"\\ud800\"", .invalidEscape), ("\"\\udc00\"", .invalidEscape),
      ("\"\\ud800\\u0041\"", .invalidEscape), ("\"\\ud800x\"", .invalidEscape), ("\"\\ud800\\ud800\"", .invalidEscape),
      ("{\"a\":1,\"a\":2}", .duplicateKey), ("{\"a\":1,\"\\u0061\":2}", .duplicateKey), ("\u{FEFF}1", .unexpectedByte),
    ]
    for (text, code) in cases { #expect(Self.code(text) == code, "\(text)") }
  }

  @Test("Strings that are not UTF-8 are refused, with and without escapes")
  func invalidUTF8() {
    let bad: [[UInt8]] = [
      [0x80], [0xC0, 0xAF], [0xE0, 0x80, 0xAF], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xFF], [0xC3],
      [0x41, 0xE2, 0x82],
    ]
    for bytes in bad {
      #expect(Self.code([0x22] + bytes + [0x22]) == .invalidUTF8)
      #expect(Self.code([0x22, 0x5C, 0x6E] + bytes + [0x22]) == .invalidUTF8)
      #expect(Self.code([0x7B, 0x22] + bytes + [0x22, 0x3A, 0x31, 0x7D]) == .invalidUTF8)
    }
  }

  @Test("Depth and size have bounds")
  func bounds() {
    let deep = { (n: Int) in String(repeating: "[", count: n) + String(repeating: "]", count: n) }
    #expect(Self.code(deep(64)) == nil)
    #expect(Self.code(deep(65)) == .tooDeep)
    #expect(Self.code(deep(3), depth: 2) == .tooDeep)
    #expect(Self.code(String(repeating: "{\"a\":", count: 100_000)) == .tooDeep)
    #expect(Self.code(deep(512), depth: 100_000) == nil)
    #expect(Self.code(deep(513), depth: 100_000) == .tooDeep)
    #expect(Self.code("[1,2]", bytes: 4) == .tooLarge)
    #expect(Self.code("[1,2]", bytes: 5) == nil)
    #expect(throws: JSONError.self) { try JSON.parse(AnySequence([0x31, 0x32, 0x33]), maximumBytes: 2) }
  }

  @Test("Keys that are canonically equivalent but not the same are two keys")
  func exactKeys() throws {
    let json = try JSON.parse("{\"\u{E9}\":1,\"e\u{301}\":2}")
    #expect(json["\u{E9}"] == 1)
    #expect(json["e\u{301}"] == 2)
    #expect(JSON.string("\u{E9}") != JSON.string("e\u{301}"))
  }

  @Test("Objects ignore order in comparison, keep it in writing, and are fast when large")
  func objects() throws {
    #expect(JSON.object(["a": 1, "b": 2]) == JSON.object(["b": 2, "a": 1.0]))
    #expect(JSON.object(["a": 1, "b": 2]).hashValue == JSON.object(["b": 2, "a": 1.0]).hashValue)
    #expect(JSON.object(["a": 1]) != JSON.object(["a": 1, "b": nil]))
    var object = JSONObject()
    for index in 0..<20_000 { object["key \(index)"] = .integer(Int64(index)) }
    #expect(object["key 19999"] == 19_999)
    object["key 0"] = nil
    object["key 5"] = "five"
    #expect(object.count == 19_999)
    #expect(object["key 0"] == nil)
    #expect(object.first?.key == "key 1")
    #expect(try JSON.parse(JSON.object(object).bytes) == .object(object))
    #expect(JSON.object(["b": 1, "a": [true, nil]]).text == #"{"b":1,"a":[true,null]}"#)
  }

  @Test("What is written can be read again, whatever the values", arguments: [UInt64(11), 12, 13, 14])
  func roundTrip(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<400 {
      let value = Self.random(&generator, depth: 0)
      #expect(try JSON.parse(value.bytes) == value)
      let canonical = value.canonical
      #expect(try JSON.parse(canonical).canonical == canonical)
    }
  }

  private static func random(_ generator: inout SeededGenerator, depth: Int) -> JSON {
    switch Int.random(in: 0...(depth > 3 ? 5 : 7), using: &generator) {
    case 0: return nil
    case 1: return .bool(Bool.random(using: &generator))
    case 2: return .integer(Int64(truncatingIfNeeded: generator.next()) >> Int64.random(in: 0...63, using: &generator))
    case 3: return .number(Double(Int32.random(in: .min ... .max, using: &generator)) / 1024)
    case 4, 5: return .string(text(&generator))
    case 6:
      return .array((0..<Int.random(in: 0...4, using: &generator)).map { _ in random(&generator, depth: depth + 1) })
    default:
      var object = JSONObject()
      for _ in 0..<Int.random(in: 0...20, using: &generator) {
        object[text(&generator)] = random(&generator, depth: depth + 1)
      }
      return .object(object)
    }
  }

  private static func text(_ generator: inout SeededGenerator) -> String {
    var text = ""
    for _ in 0..<Int.random(in: 0...20, using: &generator) {
      let bits = generator.next()
      let ceiling: UInt32 = [0x20, 0x80, 0x800, 0x110000][Int(bits & 3)]
      if let scalar = Unicode.Scalar(UInt32(truncatingIfNeeded: bits >> 8) % ceiling) {
        text.unicodeScalars.append(scalar)
      }
    }
    return text
  }

  @Test("Bytes changed at random give a value or an error, never anything else", arguments: [UInt64(21), 22, 23])
  func fuzz(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let seeds = try TopicSpecification.all.flatMap { topic in
      try Files.examples("topics/\(topic.name)/examples/valid").map(\.json.bytes)
    }
    for _ in 0..<4_000 {
      var bytes = seeds.randomElement(using: &generator) ?? []
      for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        switch Int.random(in: 0...3, using: &generator) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        case 1: bytes.remove(at: place)
        case 2: bytes.insert(Array("\"\\{}[],:0e-u".utf8).randomElement(using: &generator) ?? 0, at: place)
        default: bytes.removeSubrange(place...)
        }
      }
      // Exactly as many bytes as the value: reading past the end would be noticed by the address sanitizer.
      guard let value = try? JSON.parse(bytes) else { continue }
      #expect(try JSON.parse(value.bytes) == value)
      for type in valueTypes { _ = try? type.init(json: value) }
    }
    for _ in 0..<4_000 {
      let noise = (0..<Int.random(in: 0...40, using: &generator)).map { _ in
        UInt8.random(in: 0...255, using: &generator)
      }
      _ = try? JSON.parse(noise)
    }
  }

  @Test("Base64 has one form for every run of bytes")
  func base64() {
    let cases = ["", "f", "fo", "foo", "foob", "fooba", "foobar"]
    let texts = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]
    for (bytes, text) in zip(cases, texts) {
      #expect(Base64.encode(Array(bytes.utf8)) == text)
      #expect(Base64.decode(text) == Array(bytes.utf8))
    }
    for bad in ["Z", "Zg", "Zg=", "Zh==", "Zm9=", "====", "Zg==Zg==", "Zm9v\n", "Zm9*", "Z=g="] {
      #expect(Base64.decode(bad) == nil, "\(bad)")
    }
  }

  @Test("Digests are SHA-256, ordered as their hexadecimal text")
  func digests() {
    #expect(Digest.sha256("").hex == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    let abc = Digest.sha256("abc")
    #expect(abc.description == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(Digest(hex: abc.hex) == abc)
    #expect(Digest(bytes: abc.bytes) == abc)
    #expect(Digest(hex: abc.hex.uppercased()) == nil)
    #expect(Digest(hex: String(abc.hex.dropLast())) == nil)
    #expect(Digest(bytes: [1, 2, 3]) == nil)
    var stream = Digest.Stream()
    stream.update([0x61])
    stream.update([0x62, 0x63])
    #expect(stream.digest == abc)
    let many = (0..<100).map { Digest.sha256("\($0)") }
    #expect(many.sorted().map(\.hex) == many.map(\.hex).sorted())
  }

  @Test("Times are read and written as RFC 3339")
  func times() {
    #expect(RFC3339.milliseconds(of: "1970-01-01T00:00:00Z") == 0)
    #expect(RFC3339.milliseconds(of: "2026-03-02T09:00:00.250+01:00") == 1_772_438_400_250)
    #expect(RFC3339.milliseconds(of: "2026-03-02 08:00:00z") == 1_772_438_400_000)
    #expect(RFC3339.milliseconds(of: "1969-12-31T23:59:59.999Z") == -1)
    #expect(RFC3339.text(milliseconds: 1_772_438_400_250) == "2026-03-02T08:00:00.250Z")
    #expect(RFC3339.text(milliseconds: -1) == "1969-12-31T23:59:59.999Z")
    #expect(RFC3339.text(milliseconds: .max) == "9999-12-31T23:59:59.999Z")
    #expect(RFC3339.text(milliseconds: .min) == "0000-01-01T00:00:00Z")
    var generator = SeededGenerator(seed: 5)
    for _ in 0..<2_000 {
      let moment = Int64.random(in: -62_167_219_200_000...253_402_300_799_999, using: &generator)
      #expect(RFC3339.milliseconds(of: RFC3339.text(milliseconds: moment)) == moment)
    }
  }
}
