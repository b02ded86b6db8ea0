public import Topics

/// One record of the sample log, as training sees it.
public enum TrainingInput: Sendable, Hashable {
  /// A sample of any split.
  case sample(TrainingSample)
  /// A record that closes the round and asks for a release, by its digest.
  case cut(Digest)
  /// The erasure of the sample with this identifier.
  case tombstone(String)

  /// What the record adds to the chain.
  public var digest: Digest {
    switch self {
    case .sample(let sample): sample.digest
    case .cut(let digest): digest
    case .tombstone(let id):
      Digest.sha256(JSON.object(["id": .string(id), "kind": "tombstone"]).canonical)
    }
  }
}
