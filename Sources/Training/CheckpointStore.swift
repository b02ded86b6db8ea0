import ModelFiles
public import Topics

/// A folder of checkpoints and sample segments, each file named by the SHA-256 of its bytes: `<folder>/<2 digits>/<digest>`.
///
/// A file is written under another name, flushed, and renamed, so that what has a digest's name is whole. What reads it
/// checks every byte against the name. One process writes to a folder at a time; any number may read. It deliberately
/// keeps no list and deletes nothing: ``files(of:)`` tells what a checkpoint needs.
public struct CheckpointStore: Sendable, Hashable {
  /// The folder; made when the first file is written.
  public let folder: String

  /// What a checkpoint is called until its bytes are known. One name for all: what a killed process left of it goes before the next
  /// checkpoint is written.
  package static let incomingName = "incoming.checkpoint"

  /// A store in this folder.
  public init(folder: String) { self.folder = folder }

  /// Where the file with a digest is, or would be.
  public func path(of digest: Digest) -> String { "\(folder)/\(digest.hex.prefix(2))/\(digest.hex)" }

  /// The store and the digest of a path that ``path(of:)`` gives; `nil` for any other.
  public static func locate(_ path: String) -> (store: CheckpointStore, digest: Digest)? {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    guard let name = parts.last, let digest = Digest(hex: String(name)), parts.dropLast().last == name.prefix(2) else {
      return nil
    }
    let folder = parts.count == 2 ? "." : parts.dropLast(2).joined(separator: "/")
    return (CheckpointStore(folder: folder), digest)
  }

  /// Whether the store has a file of that name.
  public func contains(_ digest: Digest) -> Bool { FileSystem.exists(path(of: digest)) }

  /// What a checkpoint says about itself; its bytes are checked.
  ///
  /// - Throws: ``TrainingError`` `checkpoint_not_found`, `checkpoint_damaged`, `checkpoint_mismatch`, `io`.
  public func summary(of digest: Digest) throws(TrainingError) -> CheckpointSummary {
    let (_, header, bytes) = try open(digest)
    return CheckpointSummary(digest: digest, bytes: bytes, header: header)
  }

  /// The files that a checkpoint needs: itself, its segments, a frozen base. Also of one that only another version of this program
  /// can go on from.
  ///
  /// - Throws: ``TrainingError`` as ``summary(of:)``, `checkpoint_mismatch` for another format alone.
  public func files(of digest: Digest) throws(TrainingError) -> [Digest] {
    let parts = try CheckpointHeader.parts(of: read(digest).json, path: path(of: digest))
    return [digest] + parts.segments + [parts.frozen].compactMap { $0 }
  }

  /// Puts bytes; the same bytes twice are one file.
  func put(_ bytes: [UInt8]) throws(TrainingError) -> Digest {
    let digest = Digest.sha256(bytes)
    guard !contains(digest) else { return digest }
    try FileSystem.makeFolder("\(folder)/\(digest.hex.prefix(2))")
    do throws(ModelFileError) {
      _ = try AtomicFile.write(bytes, to: path(of: digest))
    } catch {
      throw TrainingError(error)
    }
    return digest
  }

  /// Puts what `writer` writes.
  func put(_ writer: SafetensorsWriter) throws(TrainingError) -> (digest: Digest, bytes: Int) {
    try FileSystem.makeFolder(folder)
    let incoming = "\(folder)/\(Self.incomingName)"
    AtomicFile.removeLeftovers(of: incoming)
    let file: WrittenFile
    do throws(ModelFileError) {
      file = try writer.write(to: incoming)
    } catch {
      throw TrainingError(error)
    }
    try FileSystem.makeFolder("\(folder)/\(file.digest.hex.prefix(2))")
    try FileSystem.rename(incoming, to: path(of: file.digest))
    return (file.digest, file.bytes)
  }

  /// The bytes of a segment, checked.
  func segment(_ digest: Digest) throws(TrainingError) -> [UInt8] {
    let path = path(of: digest)
    guard contains(digest) else { throw Self.missing(path) }
    let bytes = try FileSystem.contents(of: path)
    let found = Digest.sha256(bytes)
    guard found == digest else { throw Self.damaged(path, digest, found) }
    return bytes
  }

  /// The file of a frozen base, every byte checked.
  func frozen(_ digest: Digest) throws(TrainingError) -> SafetensorsFile {
    let path = path(of: digest)
    guard contains(digest) else { throw Self.missing(path) }
    let (found, _) = try FileSystem.digest(of: path)
    guard found == digest else { throw Self.damaged(path, digest, found) }
    do throws(ModelFileError) { return try SafetensorsFile(path: path) } catch { throw TrainingError(error) }
  }

  /// A checkpoint's file and header, every byte checked.
  func open(
    _ digest: Digest
  ) throws(TrainingError) -> (file: SafetensorsFile, header: CheckpointHeader, bytes: Int) {
    let (file, json, bytes) = try read(digest)
    return (file, try CheckpointHeader(json: json, path: path(of: digest)), bytes)
  }

  private func read(_ digest: Digest) throws(TrainingError) -> (file: SafetensorsFile, json: JSON, bytes: Int) {
    let path = path(of: digest)
    guard contains(digest) else { throw Self.missing(path) }
    let (found, bytes) = try FileSystem.digest(of: path)
    guard found == digest else { throw Self.damaged(path, digest, found) }
    let file: SafetensorsFile
    do throws(ModelFileError) {
      file = try SafetensorsFile(path: path)
    } catch {
      throw TrainingError(error)
    }
    let text = file.metadata[CheckpointHeader.metadataKey] ?? "{}"
    do throws(JSONError) {
      return (file, try JSON.parse(text), bytes)
    } catch {
      throw TrainingError.damaged(path, expected: "a JSON header", found: error.description)
    }
  }

  private static func missing(_ path: String) -> TrainingError {
    TrainingError(
      .checkpointNotFound, context: path, expected: "a file", found: "none",
      advice: "copy it from where it was written, or start over from the first sample with `retort train --anew`")
  }

  private static func damaged(_ path: String, _ expected: Digest, _ found: Digest) -> TrainingError {
    .damaged(path, expected: "the SHA-256 \(expected.hex)", found: found.hex)
  }
}

extension TrainingError {
  /// A file of a checkpoint that cannot be gone on from. Whoever starts over is asked for what is lost, not for what is damaged.
  static func damaged(_ context: String, expected: String, found: String) -> TrainingError {
    TrainingError(
      .checkpointDamaged, context: context, expected: expected, found: found,
      advice: "delete the file and start over from the first sample with `retort train --anew`")
  }

  /// What a model file's error means for a checkpoint.
  init(_ error: ModelFileError) {
    let code: Code =
      switch error.code {
      case .io: .io
      case .notFound: .checkpointNotFound
      default: .checkpointDamaged
      }
    self.init(
      code, context: error.context, expected: error.expected, found: error.found, advice: error.advice)
  }
}
