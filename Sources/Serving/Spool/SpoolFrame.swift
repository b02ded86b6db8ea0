// A segment of the spool is a sequence of frames, little-endian:
//
//   4 bytes   "RSP1"
//   4 bytes   length n of the payload, 1…maximumPayload
//   4 bytes   CRC-32C of the payload
//   n bytes   payload: one request record as JSON
//
// A frame that is torn or damaged is passed over: reading goes on at the next whole frame. Deliberately not here: encryption and
// compression; the folder is as private as the log.

/// One record of the spool's files.
enum SpoolFrame {
  static let header = 12
  static let maximumPayload = 4 << 20
  private static let magic: [UInt8] = Array("RSP1".utf8)

  /// The bytes of a frame.
  static func encode(_ payload: [UInt8]) -> [UInt8] {
    var bytes = magic
    bytes.reserveCapacity(header + payload.count)
    for word in [UInt32(payload.count), checksum(payload[...])] {
      for shift in stride(from: 0, to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: word >> UInt32(shift))) }
    }
    return bytes + payload
  }

  /// The next whole frame at or after `start`: its payload and where it begins and ends; nil where there is none.
  static func next(in bytes: [UInt8], from start: Int) -> (payload: [UInt8], begin: Int, end: Int)? {
    var begin = start
    while begin + header < bytes.count {
      if let end = end(of: begin, in: bytes) { return (Array(bytes[(begin + header)..<end]), begin, end) }
      begin += 1
    }
    return nil
  }

  private static func end(of begin: Int, in bytes: [UInt8]) -> Int? {
    for index in 0..<4 where bytes[begin + index] != magic[index] { return nil }
    let length = Int(word(bytes, begin + 4))
    let end = begin + header + length
    guard (1...maximumPayload).contains(length), end <= bytes.count,
      checksum(bytes[(begin + header)..<end]) == word(bytes, begin + 8)
    else { return nil }
    return end
  }

  private static func word(_ bytes: [UInt8], _ at: Int) -> UInt32 {
    (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) }
  }

  /// CRC-32C (Castagnoli), reflected, as iSCSI has it. Reference: RFC 3720, appendix B.4.
  static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    var crc: UInt32 = ~0
    for byte in bytes { crc = table[Int((crc ^ UInt32(byte)) & 0xFF)] ^ (crc >> 8) }
    return ~crc
  }

  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { crc, _ in crc & 1 == 1 ? (crc >> 1) ^ 0x82F6_3B78 : crc >> 1 }
  }
}
