import Crypto
import Foundation
public import Topics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A private Ed25519 key that signs manifests and deployments.
///
/// Files are JSON: `{"key_id", "algorithm": "ed25519", "private": base64}`, readable by their owner alone. The key id is the
/// first 16 hexadecimal digits of the SHA-256 of the public key.
///
/// Reference: RFC 8032 (Ed25519) over RFC 8785 (canonical JSON).
public struct SigningKey: Sendable {
  private let key: Curve25519.Signing.PrivateKey

  /// A new key from the system's random numbers.
  public static func generate() -> SigningKey { SigningKey(Curve25519.Signing.PrivateKey()) }

  private init(_ key: Curve25519.Signing.PrivateKey) { self.key = key }

  /// The name of the key.
  public var id: String { publicKey.id }

  /// What others verify with.
  public var publicKey: PublicKey { PublicKey(key.publicKey) }

  /// The signature over bytes.
  ///
  /// - Throws: the cryptography library's error.
  public func signature(over bytes: [UInt8]) throws -> Signature {
    Signature(keyID: id, value: [UInt8](try key.signature(for: bytes)))
  }

  /// A manifest with this key's signature over its body.
  public func sign(_ manifest: Manifest) throws -> Manifest {
    var manifest = manifest
    manifest.signature = try signature(over: manifest.signingBytes)
    return manifest
  }

  /// A deployment with this key's signature over its body.
  public func sign(_ deployment: DeploymentRecord) throws -> DeploymentRecord {
    var deployment = deployment
    deployment.signature = try signature(over: deployment.signingBytes)
    return deployment
  }

  /// Reads a key file.
  ///
  /// - Throws: ``ReleaseError`` with `key_file`.
  public static func load(_ path: String) throws -> SigningKey {
    let json = try KeyFile.read(path)
    guard let text = json["private"]?.stringValue, let bytes = Data(base64Encoded: text),
      let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: bytes)
    else {
      throw ReleaseError(
        .keyFile, path, expected: "a private Ed25519 key under \"private\"", found: "none",
        advice: "make one with `retort keys new`")
    }
    return SigningKey(key)
  }

  /// Writes the key file; one that is there is not replaced.
  ///
  /// - Throws: ``ReleaseError`` with `key_file`.
  public func save(_ path: String) throws {
    let json: JSON = [
      "key_id": .string(id), "algorithm": "ed25519", "private": .string(key.rawRepresentation.base64EncodedString()),
    ]
    try KeyFile.write(json, to: path, mode: 0o600)
  }
}

/// A public Ed25519 key.
public struct PublicKey: Sendable {
  private let key: Curve25519.Signing.PublicKey

  init(_ key: Curve25519.Signing.PublicKey) { self.key = key }

  /// The name of the key.
  public var id: String { String(Digest.sha256([UInt8](key.rawRepresentation)).hex.prefix(16)) }

  /// Whether a signature's bytes are this key's over other bytes.
  public func verifies(_ signature: [UInt8], over bytes: [UInt8]) -> Bool {
    key.isValidSignature(signature, for: bytes)
  }

  /// Reads a public key file.
  ///
  /// - Throws: ``ReleaseError`` with `key_file`.
  public static func load(_ path: String) throws -> PublicKey {
    let json = try KeyFile.read(path)
    guard let text = json["public"]?.stringValue, let bytes = Data(base64Encoded: text),
      let key = try? Curve25519.Signing.PublicKey(rawRepresentation: bytes)
    else {
      throw ReleaseError(
        .keyFile, path, expected: "a public Ed25519 key under \"public\"", found: "none",
        advice: "ask who signs the releases for it")
    }
    return PublicKey(key)
  }

  /// Writes the public key file; one that is there is not replaced.
  public func save(_ path: String) throws {
    let json: JSON = [
      "key_id": .string(id), "algorithm": "ed25519", "public": .string(key.rawRepresentation.base64EncodedString()),
    ]
    try KeyFile.write(json, to: path, mode: 0o644)
  }
}

/// Reading and writing small key files.
private enum KeyFile {
  static func read(_ path: String) throws -> JSON {
    guard let data = FileManager.default.contents(atPath: path), data.count < 65_536 else {
      throw ReleaseError(
        .keyFile, path, expected: "a key file", found: "nothing that can be read",
        advice: "check the path and its permissions")
    }
    do {
      return try JSON.parse([UInt8](data))
    } catch {
      throw ReleaseError(
        .keyFile, path, expected: "a key file in JSON", found: "\(error)", advice: "make one with `retort keys new`")
    }
  }

  static func write(_ json: JSON, to path: String, mode: mode_t) throws {
    // Whole before it has its name: another process may be waiting to read it.
    let partial = "\(path).\(getpid())-\(UInt32.random(in: 0 ... .max)).partial"
    let descriptor = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
    guard descriptor >= 0 else { throw noPlace(path) }
    defer {
      close(descriptor)
      unlink(partial)
    }
    let bytes = json.bytes + [0x0A]
    guard bytes.withUnsafeBytes({ put($0, into: descriptor) }), fsync(descriptor) == 0 else {
      throw ReleaseError(
        .keyFile, path, expected: "a file that can be written", found: "a failure to write",
        advice: "check the free space")
    }
    guard link(partial, path) == 0 || moveWithoutLinks(partial, path) else { throw noPlace(path) }
    // What is signed with it outlives a power failure, and so must its name.
    let parent = (path as NSString).deletingLastPathComponent
    let folder = open(parent.isEmpty ? "." : parent, O_RDONLY | O_CLOEXEC)
    if folder >= 0 {
      fsync(folder)
      close(folder)
    }
  }

  /// On file systems that know no links (SMB, FAT): the name may be taken between the look and the renaming.
  private static func moveWithoutLinks(_ partial: String, _ path: String) -> Bool {
    guard [EPERM, EOPNOTSUPP, ENOSYS].contains(errno) else { return false }
    guard access(path, F_OK) != 0 else {
      errno = EEXIST
      return false
    }
    return rename(partial, path) == 0
  }

  private static func noPlace(_ path: String) -> ReleaseError {
    ReleaseError(
      .keyFile, path, expected: "a place for a new key file", found: String(cString: strerror(errno)),
      advice: "choose another folder; keys are never replaced")
  }
}

/// Writes all of them; whether that went well.
private func put(_ bytes: UnsafeRawBufferPointer, into descriptor: Int32) -> Bool {
  var rest = bytes[...]
  while !rest.isEmpty {
    let count = write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
    if count < 0, errno == EINTR { continue }
    guard count > 0 else { return false }
    rest = rest.dropFirst(count)
  }
  return true
}
