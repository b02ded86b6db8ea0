extension JSON {
  /// The value as compact JSON: no spaces, members in their order.
  public var text: String { String(decoding: bytes, as: UTF8.self) }

  /// The same as `text`, in UTF-8.
  public var bytes: [UInt8] {
    var writer = JSONWriter(sortsKeys: false, roundsIntegers: false)
    writer.write(self)
    return writer.output
  }

  /// The value's canonical form: keys sorted by UTF-16 code units, numbers as ECMAScript writes them, no spaces.
  ///
  /// Reference: RFC 8785 (A. Rundgren, B. Jordan, S. Erdtman, 2020). As that form knows only doubles, an integer beyond
  /// 2^53 is written as its nearest double; a number that is not finite is written as `null`.
  public var canonical: [UInt8] {
    var writer = JSONWriter(sortsKeys: true, roundsIntegers: true)
    writer.write(self)
    return writer.output
  }

  /// The value itself with its keys sorted: the canonical form, but for integers beyond 2^53, which keep their digits.
  public var sorted: [UInt8] {
    var writer = JSONWriter(sortsKeys: true, roundsIntegers: false)
    writer.write(self)
    return writer.output
  }
}

/// Turns values into bytes.
struct JSONWriter {
  private(set) var output: [UInt8] = []
  private let sortsKeys: Bool
  private let roundsIntegers: Bool

  init(sortsKeys: Bool, roundsIntegers: Bool) { (self.sortsKeys, self.roundsIntegers) = (sortsKeys, roundsIntegers) }

  mutating func write(_ value: JSON) {
    switch value {
    case .null: append("null")
    case .bool(let flag): append(flag ? "true" : "false")
    case .integer(let number): write(number)
    case .number(let number): write(number)
    case .string(let text): write(text)
    case .array(let elements): write(elements)
    case .object(let object): write(object)
    }
  }

  private mutating func append(_ text: StaticString) {
    output.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  private mutating func write(_ number: Int64) {
    if roundsIntegers, number.magnitude > 1 << 53 {
      write(Double(number))
    } else {
      output.append(contentsOf: String(number).utf8)
    }
  }

  private mutating func write(_ number: Double) {
    if let text = ECMAScriptNumber.text(of: number) {
      output.append(contentsOf: text)
    } else {
      append("null")
    }
  }

  private mutating func write(_ elements: [JSON]) {
    output.append(0x5B)
    for (index, element) in elements.enumerated() {
      if index > 0 { output.append(0x2C) }
      write(element)
    }
    output.append(0x5D)
  }

  private mutating func write(_ object: JSONObject) {
    output.append(0x7B)
    var isFirst = true
    for (key, value) in sortsKeys ? Self.sorted(object) : Array(object) {
      if !isFirst { output.append(0x2C) }
      isFirst = false
      write(key)
      output.append(0x3A)
      write(value)
    }
    output.append(0x7D)
  }

  private static func sorted(_ object: JSONObject) -> [(key: String, value: JSON)] {
    object.sorted { $0.key.utf16.lexicographicallyPrecedes($1.key.utf16) }
  }

  private mutating func write(_ text: String) {
    output.append(0x22)
    var copy = text
    copy.withUTF8 { bytes in
      var plain = 0
      for index in bytes.indices {
        let byte = bytes[index]
        guard byte < 0x20 || byte == 0x22 || byte == 0x5C else { continue }
        output.append(contentsOf: bytes[plain..<index])
        plain = index + 1
        escape(byte)
      }
      output.append(contentsOf: bytes[plain...])
    }
    output.append(0x22)
  }

  private mutating func escape(_ byte: UInt8) {
    switch byte {
    case 0x22: append("\\\"")
    case 0x5C: append("\\\\")
    case 0x08: append("\\b")
    case 0x09: append("\\t")
    case 0x0A: append("\\n")
    case 0x0C: append("\\f")
    case 0x0D: append("\\r")
    default:
      append("\\u00")
      output.append(byte >= 0x10 ? 0x31 : 0x30)
      let low = byte & 15
      output.append(low < 10 ? 0x30 + low : 0x57 + low)
    }
  }
}
