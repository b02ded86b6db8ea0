public import Topics

/// A file that was written completely: where it is, how long, and what it contains.
public struct WrittenFile: Sendable, Hashable {
  /// The path.
  public let path: String
  /// The size in bytes.
  public let bytes: Int
  /// The SHA-256 of the contents.
  public let digest: Digest
}
