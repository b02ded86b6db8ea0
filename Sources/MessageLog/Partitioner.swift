/// Chooses a keyed record's partition as Kafka's default partitioner does, so that every client agrees.
///
/// Reference: `org.apache.kafka.common.utils.Utils.murmur2` (MurmurHash2, 32 bits, seed 0x9747b28c).
public enum Partitioner {
  /// The partition of a key: `(murmur2(key) & 0x7fffffff) % partitions`.
  ///
  /// - Parameter partitions: the topic's number of partitions; below 2 the answer is 0.
  public static func partition(of key: [UInt8], partitions: Int) -> Int {
    guard partitions > 1 else { return 0 }
    return Int(murmur2(key) & 0x7FFF_FFFF) % partitions
  }

  /// MurmurHash2 of the bytes, with Kafka's seed.
  public static func murmur2(_ bytes: [UInt8]) -> UInt32 {
    let m: UInt32 = 0x5BD1_E995
    var hash = 0x9747_B28C ^ UInt32(truncatingIfNeeded: bytes.count)
    var index = 0
    while index + 4 <= bytes.count {
      var k = UInt32(bytes[index]) | UInt32(bytes[index + 1]) << 8
      k |= UInt32(bytes[index + 2]) << 16 | UInt32(bytes[index + 3]) << 24
      k &*= m
      k ^= k >> 24
      k &*= m
      hash = (hash &* m) ^ k
      index += 4
    }
    let rest = bytes.count - index
    if rest >= 3 { hash ^= UInt32(bytes[index + 2]) << 16 }
    if rest >= 2 { hash ^= UInt32(bytes[index + 1]) << 8 }
    if rest >= 1 {
      hash ^= UInt32(bytes[index])
      hash &*= m
    }
    hash ^= hash >> 13
    hash &*= m
    return hash ^ (hash >> 15)
  }
}
