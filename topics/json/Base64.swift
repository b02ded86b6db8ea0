/// Base64 with padding (RFC 4648, section 4), for bytes inside JSON.
public enum Base64 {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  private static let values: [UInt8] = {
    var table = [UInt8](repeating: 0xFF, count: 256)
    for (value, character) in alphabet.enumerated() { table[Int(character)] = UInt8(value) }
    return table
  }()

  /// The bytes as text.
  public static func encode(_ bytes: [UInt8]) -> String {
    let count = (bytes.count + 2) / 3 * 4
    let alphabet = alphabet
    return String(unsafeUninitializedCapacity: count) { output in
      var position = 0
      for start in stride(from: 0, to: bytes.count, by: 3) {
        let left = bytes.count - start
        let word =
          UInt32(bytes[start]) << 16 | (left > 1 ? UInt32(bytes[start + 1]) << 8 : 0)
          | (left > 2 ? UInt32(bytes[start + 2]) : 0)
        output[position] = alphabet[Int(word >> 18)]
        output[position + 1] = alphabet[Int(word >> 12 & 63)]
        output[position + 2] = left > 1 ? alphabet[Int(word >> 6 & 63)] : 0x3D
        output[position + 3] = left > 2 ? alphabet[Int(word & 63)] : 0x3D
        position += 4
      }
      return count
    }
  }

  /// The bytes that `text` stands for, or nil when it is not padded base64 in its one canonical form.
  public static func decode(_ text: String) -> [UInt8]? {
    let input = Array(text.utf8)
    guard input.count % 4 == 0 else { return nil }
    if input.isEmpty { return [] }
    let padding = input.suffix(2).reversed().prefix { $0 == 0x3D }.count
    let values = values
    var output: [UInt8] = []
    output.reserveCapacity(input.count / 4 * 3)
    var word: UInt32 = 0
    for (index, character) in input.enumerated() {
      let isPadding = index >= input.count - padding
      let value = isPadding ? 0 : values[Int(character)]
      guard value != 0xFF else { return nil }
      word = word << 6 | UInt32(value)
      if index % 4 == 3 {
        output += [
          UInt8(truncatingIfNeeded: word >> 16), UInt8(truncatingIfNeeded: word >> 8), UInt8(truncatingIfNeeded: word),
        ]
      }
    }
    guard output.suffix(padding).allSatisfy({ $0 == 0 }) else { return nil }
    output.removeLast(padding)
    return encode(output) == text ? output : nil
  }
}
