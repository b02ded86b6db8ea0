import CKernels
import ModelFiles
import Topics

/// A folder in which processes keep packed weights, so that all who serve the same file hold them in memory once.
///
/// What is shared is named by the digest of the file that it was packed from; the memory that the system gives it is that of a
/// mapped file: read-only, in use as long as any process has it, and otherwise free for others.
public struct SharedWeights: Sendable {
  /// The version of how weights are packed: another one where any byte of a packed matrix would be another.
  package static let layoutVersion = 1

  private let files: DerivedFiles

  /// - Parameter folder: Made when it is first used.
  public init(folder: String) { files = DerivedFiles(folder: folder) }

  /// - Parameter patience: How long a process that packs is waited for.
  package init(folder: String, patience: Duration) { files = DerivedFiles(folder: folder, patience: patience) }

  /// The weights of a file: mapped where they can be, else in this process's own memory.
  ///
  /// - Throws: ``InferenceError`` where the file's own weights are bad.
  func weights(
    of file: GGUFFile, _ configuration: DecoderConfiguration
  ) throws(InferenceError) -> (ModelWeights, WeightPlacement) {
    let digest = file.digest()
    var own: ModelWeights?
    do {
      let contents = try files.contents(digest.hex, heading: Self.heading(digest)) { target in
        let made = try ModelWeights(configuration, from: FileWeights(file, configuration))
        own = made
        for matrix in made.matrices { try target.write(matrix.stored) }
      }
      if own != nil {
        own = nil
        retort_return_freed_memory()
      }
      let source = FileWeights(file, configuration, isChecked: true)
      return (try ModelWeights(configuration, from: source, packed: contents), .shared(path: contents.path))
    } catch let error as InferenceError {
      throw error
    } catch {
      if let own { return (own, .unshared("\(error)")) }
      return (try ModelWeights(configuration, from: FileWeights(file, configuration)), .unshared("\(error)"))
    }
  }

  /// What a file of packed weights begins with.
  private static func heading(_ digest: Digest) -> [UInt8] {
    Array("retort packed weights \(layoutVersion)\n".utf8) + digest.bytes
  }
}

/// Where a model's packed weights are.
public enum WeightPlacement: Sendable, Hashable {
  /// In the memory of this process, as was asked for.
  case own
  /// In a mapped file, which other processes may have mapped too.
  case shared(path: String)
  /// In the memory of this process, for that reason, though they should be shared.
  case unshared(String)
}
