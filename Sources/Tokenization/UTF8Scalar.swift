/// Reading UTF-8 one scalar after the other, whatever the bytes are.
enum UTF8Scalar {
  /// The scalar at `start` and its length in bytes; nil and 1 where no valid one begins there.
  @inline(__always)
  static func read(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int) -> (value: UInt32?, length: Int) {
    let first = bytes[start]
    return first < 0x80 ? (UInt32(first), 1) : readWide(bytes, start)
  }

  /// Reference: The Unicode Standard, table 3-7, well-formed UTF-8 byte sequences.
  static func readWide(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int) -> (value: UInt32?, length: Int) {
    let first = bytes[start]
    let length: Int
    var (lower, upper) = (UInt8(0x80), UInt8(0xBF))
    switch first {
    case 0xC2...0xDF: length = 2
    case 0xE0...0xEF:
      length = 3
      if first == 0xE0 { lower = 0xA0 }
      if first == 0xED { upper = 0x9F }
    case 0xF0...0xF4:
      length = 4
      if first == 0xF0 { lower = 0x90 }
      if first == 0xF4 { upper = 0x8F }
    default: return (nil, 1)
    }
    guard start + length <= bytes.count, bytes[start + 1] >= lower, bytes[start + 1] <= upper else { return (nil, 1) }
    var value = UInt32(first & (0x7F >> UInt8(length))) << 6 | UInt32(bytes[start + 1] & 0x3F)
    for offset in 2..<max(length, 2) {
      let byte = bytes[start + offset]
      guard byte & 0xC0 == 0x80 else { return (nil, 1) }
      value = value << 6 | UInt32(byte & 0x3F)
    }
    return (value, length)
  }

  /// Appends a scalar's UTF-8.
  static func append(_ value: UInt32, to bytes: inout [UInt8]) {
    if let scalar = Unicode.Scalar(value) { bytes.append(contentsOf: UTF8.encode(scalar) ?? .init()) }
  }
}
