import Foundation
import ModelFiles
public import RetortClient
public import Topics

/// A folder of large files, each named by the SHA-256 of its bytes.
///
/// A file is written beside its place, flushed to the disk, renamed, and only then visible: what has a name is whole.
/// Putting the same bytes twice is harmless. It deliberately does not count references: `retort models gc` decides
/// what nothing refers to.
public struct ContentStore: Sendable {
  /// The folder, as an absolute path: where its files are is written down for readers with other working folders. It is made
  /// when the first file is put.
  public let folder: String

  /// A store in the given folder.
  public init(folder: String) {
    let path = folder.hasPrefix("/") ? folder : "\(FileManager.default.currentDirectoryPath)/\(folder)"
    self.folder = URL(fileURLWithPath: path).standardizedFileURL.path
  }

  /// Where the file with a digest is, or would be.
  public func path(of digest: Digest) -> String {
    "\(folder)/\(digest.hex.prefix(2))/\(digest.hex)"
  }

  /// Puts bytes and returns their digest.
  @discardableResult
  public func put(_ bytes: [UInt8]) throws -> Digest {
    let digest = Digest.sha256(bytes)
    // What is there may have been damaged.
    guard (try? get(digest)) == nil else { return digest }
    try put(bytes, digest: digest, source: "memory")
    return digest
  }

  /// The bytes of a file, after checking them against its name.
  ///
  /// - Throws: ``PipelineError`` with `store` where it is missing or damaged.
  public func get(_ digest: Digest) throws -> [UInt8] {
    let path = path(of: digest)
    guard FileManager.default.fileExists(atPath: path) else {
      throw PipelineError(
        .store, path, expected: "a file of the store", found: "none",
        advice: "copy it from where it was made, or make it again")
    }
    let bytes = try read(path)
    let found = Digest.sha256(bytes)
    guard found == digest else {
      throw PipelineError(
        .store, path, expected: "SHA-256 \(digest.hex)", found: found.hex,
        advice: "delete the damaged file and fetch it again")
    }
    return bytes
  }

  /// Where a release's file is, after checking every byte; one that is missing or damaged is fetched again.
  ///
  /// - Throws: as `ArtifactFetcher.fetch(_:)`, and the file system's error.
  public func path(of file: ManifestFile, fetcher: ArtifactFetcher) async throws -> String {
    if (try? get(file.sha256)) == nil {
      try put(try await fetcher.fetch(file), digest: file.sha256, source: file.uri)
    }
    return path(of: file.sha256)
  }

  private func put(_ bytes: [UInt8], digest: Digest, source: String) throws {
    let found = Digest.sha256(bytes)
    guard found == digest else {
      throw PipelineError(
        .store, source, expected: "SHA-256 \(digest.hex)", found: found.hex,
        advice: "store it again: it changed meanwhile")
    }
    let path = path(of: digest)
    // What is half written is nobody's garbage.
    let use = try GarbageCollection.use(of: folder)
    defer { withExtendedLifetime(use) {} }
    try AtomicFile.makeFolder((path as NSString).deletingLastPathComponent)
    _ = try AtomicFile.write(bytes, to: path)
  }

  private func read(_ path: String) throws -> [UInt8] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw PipelineError(
        .store, path, expected: "a file", found: "nothing that can be read",
        advice: "check that it exists and its permissions")
    }
    return [UInt8](data)
  }
}
