import Crypto

/// A SHA-256 digest: the name by which content is known everywhere (files, samples, schemas, manifests).
public struct Digest: Sendable, Hashable, Comparable, CustomStringConvertible {
  private let words: (UInt64, UInt64, UInt64, UInt64)

  /// The digest with these 32 bytes, or nil when there are not exactly 32.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == 32 else { return nil }
    self.init(unchecked: bytes)
  }

  /// The digest written as 64 lower-case hexadecimal characters, or nil when `hex` is anything else.
  public init?(hex: String) {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(32)
    var high: UInt8?
    guard hex.utf8.count == 64 else { return nil }
    for character in hex.utf8 {
      let nibble: UInt8
      switch character {
      case 0x30...0x39: nibble = character - 0x30
      case 0x61...0x66: nibble = character - 0x61 + 10
      default: return nil
      }
      if let first = high {
        bytes.append(first << 4 | nibble)
        high = nil
      } else {
        high = nibble
      }
    }
    self.init(unchecked: bytes)
  }

  private init(unchecked bytes: some Sequence<UInt8>) {
    var words: [UInt64] = [0, 0, 0, 0]
    for (index, byte) in bytes.enumerated() {
      words[index >> 3] = words[index >> 3] << 8 | UInt64(byte)
    }
    self.words = (words[0], words[1], words[2], words[3])
  }

  /// The SHA-256 of `bytes`.
  public static func sha256(_ bytes: [UInt8]) -> Digest {
    bytes.withUnsafeBytes { sha256($0) }
  }

  /// The SHA-256 of a buffer, such as a memory-mapped file.
  public static func sha256(_ buffer: UnsafeRawBufferPointer) -> Digest {
    var stream = Stream()
    stream.update(buffer)
    return stream.digest
  }

  /// The SHA-256 of the UTF-8 of `text`.
  public static func sha256(_ text: String) -> Digest { sha256(Array(text.utf8)) }

  /// The 32 bytes, most significant first.
  public var bytes: [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(32)
    for word in [words.0, words.1, words.2, words.3] {
      for shift in stride(from: 56, through: 0, by: -8) {
        result.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
      }
    }
    return result
  }

  /// The digest as 64 lower-case hexadecimal characters.
  public var hex: String {
    let alphabet = Array("0123456789abcdef".utf8)
    return String(unsafeUninitializedCapacity: 64) { buffer in
      for (index, byte) in bytes.enumerated() {
        buffer[index * 2] = alphabet[Int(byte >> 4)]
        buffer[index * 2 + 1] = alphabet[Int(byte & 15)]
      }
      return 64
    }
  }

  /// The same as `hex`.
  public var description: String { hex }

  /// Whether the two digests have the same 32 bytes.
  public static func == (left: Digest, right: Digest) -> Bool { left.words == right.words }

  /// The order of the bytes, which is also the order of the hexadecimal texts.
  public static func < (left: Digest, right: Digest) -> Bool { left.words < right.words }

  /// Feeds the digest's bytes to `hasher`.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(words.0)
    hasher.combine(words.1)
    hasher.combine(words.2)
    hasher.combine(words.3)
  }

  /// SHA-256 over bytes that arrive piece by piece.
  public struct Stream: Sendable {
    private var state = SHA256()

    /// A stream to which nothing has been given yet.
    public init() {}

    /// Adds the bytes of `buffer`.
    public mutating func update(_ buffer: UnsafeRawBufferPointer) { state.update(bufferPointer: buffer) }

    /// Adds `bytes`.
    public mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { state.update(bufferPointer: $0) } }

    /// The digest of everything added so far; more may be added afterwards.
    public var digest: Digest { Digest(unchecked: state.finalize()) }
  }
}
