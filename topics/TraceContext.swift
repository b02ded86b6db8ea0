/// The W3C trace context that travels with a request.
///
/// Reference: W3C Trace Context, Recommendation of 2021, section 3.2.
public enum TraceContext {
  /// The `traceparent` itself where it is one: version, trace id, parent id and flags, in lower-case hexadecimal, the ids
  /// not all zero. Versions above 00 may have more after a dash; 255 is none.
  public static func valid(_ text: String) -> String? {
    let bytes = Array(text.utf8)
    guard (55...512).contains(bytes.count) else { return nil }
    for (index, byte) in bytes.prefix(55).enumerated() {
      let isDash = index == 2 || index == 35 || index == 52
      guard isDash ? byte == 0x2D : isHexadecimal(byte) else { return nil }
    }
    let version = text.prefix(2)
    guard version != "ff", bytes.count == 55 || (version != "00" && bytes[55] == 0x2D) else { return nil }
    guard bytes[3..<35].contains(where: { $0 != 0x30 }), bytes[36..<52].contains(where: { $0 != 0x30 }) else {
      return nil
    }
    return text
  }

  private static func isHexadecimal(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
  }
}
