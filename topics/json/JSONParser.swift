/// A recursive-descent parser over one contiguous buffer; the recursion is bounded by `maximumDepth`.
///
/// It looks at eight bytes at a time in strings, makes no `Character`, and copies a string's bytes once.
struct JSONParser {
  let bytes: UnsafeBufferPointer<UInt8>
  let end: Int
  let maximumDepth: Int
  var position = 0

  init(buffer: UnsafeBufferPointer<UInt8>, maximumDepth: Int) {
    bytes = buffer
    end = buffer.count
    self.maximumDepth = maximumDepth
  }

  mutating func document() throws(JSONError) -> JSON {
    skipSpace()
    let result = try value(depth: 0)
    skipSpace()
    guard position == end else { throw error(.trailingBytes, "there is more after the value's end") }
    return result
  }

  func error(_ code: JSONError.Code, _ detail: String) -> JSONError {
    JSONError(code: code, offset: position, detail: detail)
  }

  func unexpected(_ expected: String) -> JSONError {
    guard position < end else { return error(.truncated, "it ends where \(expected) should be") }
    let byte = bytes[position]
    let shown =
      byte > 0x20 && byte < 0x7F ? "'\(Character(UnicodeScalar(byte)))'" : "byte 0x\(String(byte, radix: 16))"
    return error(.unexpectedByte, "expected \(expected), found \(shown)")
  }

  private mutating func skipSpace() {
    while position < end {
      switch bytes[position] {
      case 0x20, 0x0A, 0x0D, 0x09: position += 1
      default: return
      }
    }
  }

  private mutating func value(depth: Int) throws(JSONError) -> JSON {
    guard position < end else { throw unexpected("a value") }
    switch bytes[position] {
    case 0x22: return .string(try string())
    case 0x7B: return try object(depth: depth + 1)
    case 0x5B: return try array(depth: depth + 1)
    case 0x74: return try literal("true", .bool(true))
    case 0x66: return try literal("false", .bool(false))
    case 0x6E: return try literal("null", .null)
    case 0x2D, 0x30...0x39: return try number()
    default: throw unexpected("a value")
    }
  }

  private mutating func literal(_ text: StaticString, _ value: JSON) throws(JSONError) -> JSON {
    for index in 0..<text.utf8CodeUnitCount {
      guard position < end, bytes[position] == text.utf8Start[index] else { throw unexpected("the literal \(text)") }
      position += 1
    }
    return value
  }

  private mutating func array(depth: Int) throws(JSONError) -> JSON {
    guard depth <= maximumDepth else { throw error(.tooDeep, "it nests deeper than \(maximumDepth) levels") }
    position += 1
    skipSpace()
    var elements: [JSON] = []
    if position < end, bytes[position] == 0x5D {
      position += 1
      return .array(elements)
    }
    while true {
      skipSpace()
      elements.append(try value(depth: depth))
      skipSpace()
      guard position < end else { throw unexpected("',' or ']'") }
      let byte = bytes[position]
      if byte == 0x2C {
        position += 1
      } else if byte == 0x5D {
        position += 1
        return .array(elements)
      } else {
        throw unexpected("',' or ']'")
      }
    }
  }

  private mutating func object(depth: Int) throws(JSONError) -> JSON {
    guard depth <= maximumDepth else { throw error(.tooDeep, "it nests deeper than \(maximumDepth) levels") }
    position += 1
    skipSpace()
    var members = JSONObject()
    if position < end, bytes[position] == 0x7D {
      position += 1
      return .object(members)
    }
    while true {
      skipSpace()
      guard position < end, bytes[position] == 0x22 else { throw unexpected("a key") }
      let start = position
      let key = try string()
      skipSpace()
      guard position < end, bytes[position] == 0x3A else { throw unexpected("':'") }
      position += 1
      skipSpace()
      guard members.appendUnique(key, try value(depth: depth)) else {
        position = start
        throw error(.duplicateKey, "the key \"\(key.prefix(60))\" occurs twice in one object")
      }
      skipSpace()
      guard position < end else { throw unexpected("',' or '}'") }
      let byte = bytes[position]
      if byte == 0x2C {
        position += 1
      } else if byte == 0x7D {
        position += 1
        return .object(members)
      } else {
        throw unexpected("',' or '}'")
      }
    }
  }
}

// MARK: Strings

extension JSONParser {
  /// Moves past bytes that stand for themselves; true when all of them were ASCII.
  private mutating func skipPlain() -> Bool {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let tops: UInt64 = 0x8080_8080_8080_8080
    var isASCII = true
    let raw = UnsafeRawBufferPointer(bytes)
    while true {
      while position + 8 <= end {
        let word = raw.loadUnaligned(fromByteOffset: position, as: UInt64.self)
        // A byte's top bit in `stop` says: below 0x20, a quote or a backslash (exact for bytes below 0x80).
        let low = word & ~tops
        let control = ~((low &+ (ones &* 0x60)) | word) & tops
        let quote = ~(((low ^ (ones &* 0x22)) &+ (ones &* 0x7F)) | word) & tops
        let slash = ~(((low ^ (ones &* 0x5C)) &+ (ones &* 0x7F)) | word) & tops
        if (control | quote | slash) != 0 { break }
        if word & tops != 0 { isASCII = false }
        position += 8
      }
      let limit = min(position + 8, end)
      while position < limit {
        let byte = bytes[position]
        if byte < 0x20 || byte == 0x22 || byte == 0x5C { return isASCII }
        if byte >= 0x80 { isASCII = false }
        position += 1
      }
      if position >= end { return isASCII }
    }
  }

  private mutating func string() throws(JSONError) -> String {
    position += 1
    let start = position
    let isASCII = skipPlain()
    guard position < end else { throw unexpected("the end of a string") }
    if bytes[position] == 0x22 {
      let slice = UnsafeBufferPointer(rebasing: bytes[start..<position])
      let text = isASCII ? String(decoding: slice, as: UTF8.self) : try validated(slice, start)
      position += 1
      return text
    }
    return try escapedString(from: start)
  }

  private func validated(_ slice: UnsafeBufferPointer<UInt8>, _ start: Int) throws(JSONError) -> String {
    guard let text = String(validating: slice, as: UTF8.self) else {
      throw JSONError(code: .invalidUTF8, offset: start, detail: "the string is not UTF-8")
    }
    return text
  }

  private mutating func escapedString(from start: Int) throws(JSONError) -> String {
    var buffer = Array(bytes[start..<position])
    while true {
      guard position < end else { throw unexpected("the end of a string") }
      let byte = bytes[position]
      if byte == 0x22 {
        position += 1
        guard let text = String(validating: buffer, as: UTF8.self) else {
          throw JSONError(code: .invalidUTF8, offset: start, detail: "the string is not UTF-8")
        }
        return text
      }
      guard byte == 0x5C else { throw unexpected("no control character in a string") }
      try escape(into: &buffer)
      let plain = position
      _ = skipPlain()
      buffer.append(contentsOf: bytes[plain..<position])
    }
  }

  private mutating func escape(into buffer: inout [UInt8]) throws(JSONError) {
    guard position + 1 < end else {
      position = end
      throw unexpected("an escape")
    }
    let kind = bytes[position + 1]
    switch kind {
    case 0x22, 0x5C, 0x2F: buffer.append(kind)
    case 0x62: buffer.append(0x08)
    case 0x66: buffer.append(0x0C)
    case 0x6E: buffer.append(0x0A)
    case 0x72: buffer.append(0x0D)
    case 0x74: buffer.append(0x09)
    case 0x75:
      let scalar = try unicodeEscape()
      if let encoded = UTF8.encode(scalar) { buffer.append(contentsOf: encoded) }
      return
    default: throw error(.invalidEscape, "there is no such escape")
    }
    position += 2
  }

  private mutating func unicodeEscape() throws(JSONError) -> Unicode.Scalar {
    let first = try codeUnit()
    if let scalar = Unicode.Scalar(first) { return scalar }
    guard first < 0xDC00, position + 1 < end, bytes[position] == 0x5C, bytes[position + 1] == 0x75 else {
      throw error(.invalidEscape, "half of a surrogate pair stands alone")
    }
    let second = try codeUnit()
    guard (0xDC00...0xDFFF).contains(second),
      let scalar = Unicode.Scalar(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
    else { throw error(.invalidEscape, "half of a surrogate pair stands alone") }
    return scalar
  }

  private mutating func codeUnit() throws(JSONError) -> UInt32 {
    position += 2
    var unit: UInt32 = 0
    for _ in 0..<4 {
      guard position < end else { throw unexpected("four hexadecimal digits") }
      let digit: UInt32
      switch bytes[position] {
      case let byte where byte >= 0x30 && byte <= 0x39: digit = UInt32(byte) - 0x30
      case let byte where byte >= 0x41 && byte <= 0x46: digit = UInt32(byte) - 0x37
      case let byte where byte >= 0x61 && byte <= 0x66: digit = UInt32(byte) - 0x57
      default: throw error(.invalidEscape, "four hexadecimal digits should follow \\u")
      }
      unit = unit << 4 | digit
      position += 1
    }
    return unit
  }
}
