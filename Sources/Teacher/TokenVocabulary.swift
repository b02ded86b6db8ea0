public import Topics

/// The teacher's tokens of text, by their bytes: what its log-probabilities are turned into ids with.
public struct TokenVocabulary: Sendable {
  /// The digest of the vocabulary, which samples name it by.
  public let digest: Digest
  private let ids: [[UInt8]: Int32]

  /// - Parameter tokens: ids and bytes; of equal bytes the first counts.
  public init(digest: Digest, tokens: some Sequence<(id: Int32, bytes: [UInt8])>) {
    self.digest = digest
    ids = Dictionary(tokens.lazy.map { ($0.bytes, $0.id) }) { first, _ in first }
  }

  /// The token with these bytes; nil where there is none.
  package func id(of bytes: [UInt8]) -> Int32? { ids[bytes] }
}
