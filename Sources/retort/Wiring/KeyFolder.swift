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
  func signingKey() throws -> SigningKey {
    if !FileManager.default.fileExists(atPath: files.private) { _ = try makeNew() }
    return try SigningKey.load(files.private)
  }

  /// The public key's file, if there is one.
  var publicFile: String? { FileManager.default.fileExists(atPath: files.public) ? files.public : nil }
}
