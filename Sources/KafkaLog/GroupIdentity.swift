/// Who a group member is, as librdkafka serialises it: `CGMDv2:`, the generation (32 bits, native), the group's id and the
/// member's id, each ended by a zero byte, then a byte 1, or a byte 0 and the instance id with its zero byte.
///
/// librdkafka 2.0 gives the generation in no other way. The form is private to it, so what cannot be read is nil.
package struct GroupIdentity: Sendable, Hashable {
  package var generation: Int32
  package var group: String
  package var member: String
  /// The id of static membership, nil without.
  package var instance: String?

  private static let magic = Array("CGMDv2:".utf8)

  /// Reads the serialised form.
  package init?(_ bytes: [UInt8]) {
    guard bytes.starts(with: Self.magic), bytes.count >= Self.magic.count + 4 else { return nil }
    let at = Self.magic.count
    generation = bytes[at..<at + 4].withUnsafeBytes { $0.loadUnaligned(as: Int32.self) }
    let texts = bytes[(at + 4)...].split(separator: 0, omittingEmptySubsequences: false)
    guard texts.count >= 3 else { return nil }
    group = String(decoding: texts[0], as: UTF8.self)
    member = String(decoding: texts[1], as: UTF8.self)
    instance = texts[2].isEmpty && texts.count > 3 ? String(decoding: texts[3], as: UTF8.self) : nil
  }
}
