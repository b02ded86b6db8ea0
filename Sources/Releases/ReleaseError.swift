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
  /// What it is about: a file, a model's version, a probe.
  public let subject: String
  /// What was expected of it.
  public let expected: String
  /// What was found instead.
  public let found: String
  /// What to do next.
  public let advice: String
  /// Whether the same call may succeed later without anyone changing anything.
  public let isRetriable: Bool

  /// An error with its context; `found` may be another error's sentence.
  public init(
    _ code: Code, _ subject: String, expected: String, found: String, advice: String, isRetriable: Bool = false
  ) {
    self.code = code
    self.subject = subject
    self.expected = expected
    self.found = found.hasSuffix(".") ? String(found.dropLast()) : found
    self.advice = advice
    self.isRetriable = isRetriable
  }

  /// One sentence: what, expected, found, what to do.
  public var description: String { "\(subject): expected \(expected), found \(found); \(advice)." }
}
