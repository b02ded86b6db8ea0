/// What is wrong with a release, a key or a deployment.
public struct ReleaseError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The bounded set of kinds; also the metric label and an adoption's code.
  public enum Code: String, Sendable, Hashable, CaseIterable {
    /// There is no signature where one is needed.
    case unsigned
    /// The signature's key is not trusted.
    case unknownKey = "unknown_key"
    /// The signature does not fit the signed bytes.
    case badSignature = "bad_signature"
    /// The deployment's epoch is older than one that was accepted.
    case staleEpoch = "stale_epoch"
    /// A file's bytes are not those that the manifest names.
    case badDigest = "bad_digest"
    /// A part of a file is missing.
    case incomplete
    /// The release needs a newer runtime.
    case runtime
    /// The loaded model does not give the answers that it gave at its release.
    case probeFailed = "probe_failed"
    /// The file does not load as a model.
    case unloadable
    /// A key file cannot be read or written.
    case keyFile = "key_file"
    /// A file of probes cannot be read.
    case probeFile = "probe_file"
  }

  /// The kind of error.
  public let code: Code
  /// One sentence: what, where, expected, found, what to do.
  public let description: String

  /// An error with its sentence.
  public init(_ code: Code, _ description: String) {
    self.code = code
    self.description = description
  }
}
