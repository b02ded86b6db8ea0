public import Topics

/// The public keys whose signatures a subscriber believes.
public struct TrustedKeys: Sendable {
  private let keys: [String: PublicKey]

  /// These keys.
  public init(_ keys: [PublicKey]) {
    self.keys = Dictionary(keys.map { ($0.id, $0) }) { first, _ in first }
  }

  /// These keys and one more.
  public func adding(_ key: PublicKey) -> TrustedKeys { TrustedKeys(keys.values + [key]) }

  /// The keys in these files.
  ///
  /// - Throws: ``ReleaseError`` with `key_file`.
  public static func load(_ paths: [String]) throws -> TrustedKeys {
    TrustedKeys(try paths.map(PublicKey.load))
  }

  /// The names of the keys, sorted.
  public var ids: [String] { keys.keys.sorted() }

  /// Checks a manifest's signature.
  ///
  /// - Throws: ``ReleaseError`` with `unsigned`, `unknown_key` or `bad_signature`.
  public func verify(_ manifest: Manifest) throws(ReleaseError) {
    try verify(
      manifest.signature, over: manifest.signingBytes, what: "manifest \(manifest.model) version \(manifest.version)")
  }

  /// Checks a deployment's signature and that of the manifest inside.
  ///
  /// - Throws: ``ReleaseError`` with `unsigned`, `unknown_key` or `bad_signature`.
  public func verify(_ deployment: DeploymentRecord) throws(ReleaseError) {
    try verify(
      deployment.signature, over: deployment.signingBytes,
      what: "deployment \(deployment.model) epoch \(deployment.epoch)")
    try verify(deployment.manifest)
  }

  /// What ``verify(_:)-(Manifest)`` throws; nil where it does not.
  public func problem(with manifest: Manifest) -> ReleaseError? {
    do throws(ReleaseError) { try verify(manifest) } catch { return error }
    return nil
  }

  /// What ``verify(_:)-(DeploymentRecord)`` throws; nil where it does not.
  public func problem(with deployment: DeploymentRecord) -> ReleaseError? {
    do throws(ReleaseError) { try verify(deployment) } catch { return error }
    return nil
  }

  private func verify(_ signature: Signature?, over bytes: [UInt8], what: String) throws(ReleaseError) {
    guard let signature else {
      throw ReleaseError(
        .unsigned, what, expected: "a signature", found: "none", advice: "have it released by a signing release stage")
    }
    guard let key = keys[signature.keyID] else {
      let known = keys.isEmpty ? "no key" : ids.joined(separator: ", ")
      throw ReleaseError(
        .unknownKey, what, expected: "a signature of a trusted key: \(known)",
        found: "one of the key \(signature.keyID)", advice: "add the signer's public key if it is right")
    }
    guard key.verifies(signature.value, over: bytes) else {
      throw ReleaseError(
        .badSignature, what, expected: "a signature that fits", found: "one of key \(signature.keyID) that does not",
        advice: "do not use it: it was changed after signing")
    }
  }
}
