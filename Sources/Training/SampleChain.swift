public import Topics

/// The name of an ordered sequence of samples: a chain of their digests.
public struct SampleChain: Sendable, Hashable {
  /// The digest of everything so far; 32 zero bytes for nothing.
  public private(set) var digest: Digest

  /// The chain of no records.
  public init() {
    digest = Digest(bytes: [UInt8](repeating: 0, count: 32)) ?? Digest.sha256([])
  }

  /// The chain that was read back.
  public init(digest: Digest) { self.digest = digest }

  /// Adds a record: SHA-256(chain ‖ digest).
  public mutating func append(_ record: Digest) {
    digest = Digest.sha256(digest.bytes + record.bytes)
  }
}
