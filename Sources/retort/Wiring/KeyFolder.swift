import Foundation
import ModelFiles
import Releases

/// The folder with this deployment's keys: `signing.key` and `signing.pub`.
struct KeyFolder {
  struct Files {
    let keyID: String
    let privateFile: String
    let publicFile: String
  }

  let path: String

  init(_ path: String) {
    self.path = path
  }

  private var files: (private: String, public: String) { ("\(path)/signing.key", "\(path)/signing.pub") }

  /// Makes a new pair; one that is there is kept and is an error.
  func makeNew() throws -> Files {
    try AtomicFile.makeFolder(path)
    let key = SigningKey.generate()
    try key.save(files.private)
    try key.publicKey.save(files.public)
    return Files(keyID: key.id, privateFile: files.private, publicFile: files.public)
  }

  /// The signing key, made at the first use.
  ///
  /// - Parameter signer: whose signature the deployment's releases bear; subscribers would refuse those of a new key.
  /// - Throws: ``ConfigurationError`` where the key is missing or is not that of the public file.
  func signingKey(after signer: String? = nil) throws -> SigningKey {
    let isThere = FileManager.default.fileExists(atPath:)
    if !isThere(files.private) {
      if let signer = try signer ?? publicFile.map({ try PublicKey.load($0).id }) {
        throw ConfigurationError(
          "\(files.private): expected the key \(signer), which subscribers trust, found none; put it back, or move \(files.public) "
            + "away, make new keys with `retort keys new`, and give the public one to all subscribers")
      }
      do {
        _ = try makeNew()
      } catch {
        // Another process of this deployment may have made it meanwhile.
        guard isThere(files.private) else { throw error }
      }
    }
    let key = try SigningKey.load(files.private)
    if publicFile == nil {
      // Who made the pair was stopped between its two files, or is still there.
      do {
        try key.publicKey.save(files.public)
      } catch {
        guard publicFile != nil else { throw error }
      }
    }
    if let publicFile, case let other = try PublicKey.load(publicFile).id, other != key.id {
      throw ConfigurationError(
        "\(publicFile): expected the public half of \(files.private), \(key.id), found \(other); put the one back that belongs to it"
      )
    }
    return key
  }

  /// Who else may read the signing key, as its file's mode; nil: nobody.
  var exposure: String? {
    let attributes = try? FileManager.default.attributesOfItem(atPath: files.private)
    guard let mode = (attributes?[.posixPermissions] as? NSNumber)?.intValue, mode & 0o077 != 0 else { return nil }
    return String(mode, radix: 8)
  }

  /// Whether the private half is here.
  var canSign: Bool { FileManager.default.fileExists(atPath: files.private) }

  /// The public key's file, if there is one.
  var publicFile: String? { FileManager.default.fileExists(atPath: files.public) ? files.public : nil }
}
