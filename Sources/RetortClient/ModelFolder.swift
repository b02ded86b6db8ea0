import Foundation
import ModelFiles
import Releases
import Topics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A subscriber's folder: `releases/<version>-<digest>/…`, a link `current` to one of them, and what was accepted.
///
/// The link is replaced by a rename, so that whoever opens `current` sees one whole release, the old or the new.
public struct ModelFolder: Sendable {
  /// The folder.
  public let path: String

  static let weightsName = "model.gguf"
  static let stateName = "state.json"
  /// How many releases that are not current stay on disk, for a quick rollback.
  static let keptReleases = 2

  /// - Parameter path: the folder; made when the first release is stored.
  public init(_ path: String) {
    self.path = path
  }

  /// The name of a file of a release by its role.
  static func name(of role: ManifestFile.Role) -> String {
    switch role {
    case .weights: weightsName
    case .grammar: "grammar.gbnf"
    case .probes: "probes.jsonl"
    case .card: "README.md"
    }
  }

  /// The folder of a release, whether it is there or not.
  func folder(of manifest: Manifest) -> String {
    "\(path)/releases/\(manifest.version)-\(manifest.digest.hex.prefix(12))"
  }

  /// Stores a release's files; each is durable before this returns.
  func store(
    _ files: [(role: ManifestFile.Role, bytes: [UInt8])], of manifest: Manifest
  ) throws(ClientError) -> String {
    let folder = folder(of: manifest)
    var named = files.map { (name: Self.name(of: $0.role), bytes: $0.bytes) }
    named.append((name: "manifest.json", bytes: manifest.json.bytes))
    try Self.write(named, into: folder)
    return folder
  }

  /// Writes files of a folder, each durably. What processes left of them that were killed meanwhile goes first, but not while
  /// another one writes there.
  private static func write(_ files: [(name: String, bytes: [UInt8])], into folder: String) throws(ClientError) {
    do throws(ModelFileError) {
      if let alone = try FolderHold(.exclusive, on: folder, name: nil), alone.isSure {
        for file in files { AtomicFile.removeLeftovers(of: "\(folder)/\(file.name)") }
        withExtendedLifetime(alone) {}
      }
      let use = try FolderHold(.shared, on: folder, name: nil, patience: .seconds(10))
      for file in files { _ = try AtomicFile.write(file.bytes, to: "\(folder)/\(file.name)") }
      withExtendedLifetime(use) {}
    } catch { throw unwritable(error) }
  }

  /// A file of a release as it was stored.
  ///
  /// - Throws: `ReleaseError` with `incomplete` or `bad_digest`.
  func bytes(of file: ManifestFile, of manifest: Manifest) throws(ReleaseError) -> [UInt8] {
    let place = "\(folder(of: manifest))/\(Self.name(of: file.role))"
    guard let data = FileManager.default.contents(atPath: place) else {
      throw ReleaseError(
        .incomplete, place, expected: "the \(file.role.rawValue) file", found: "nothing that can be read",
        advice: "wait until the release comes again")
    }
    let bytes = [UInt8](data)
    try ChunkPlan.verify(bytes, file: file)
    return bytes
  }

  /// Points `current` at a release, atomically and durably.
  func switchCurrent(to folder: String) throws {
    let target = "releases/" + (folder as NSString).lastPathComponent
    let temporary = "\(path)/.current.\(getpid())"
    unlink(temporary)
    guard symlink(target, temporary) == 0, rename(temporary, "\(path)/current") == 0 else {
      let code = errno
      unlink(temporary)
      throw ClientError(
        .folder, "\(path)/current", expected: "a link that can be switched", found: String(cString: strerror(code)),
        advice: code == EISDIR || code == ENOTEMPTY || code == EEXIST
          ? "move what is there away" : "check the folder's permissions", isRetriable: true)
    }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    if descriptor >= 0 {
      fsync(descriptor)
      close(descriptor)
    }
  }

  /// Deletes the releases beside one that is in use, all but the newest others.
  ///
  /// - Parameter release: the folder of the one in use.
  public static func retire(around release: String) {
    let (releases, own) = ((release as NSString).deletingLastPathComponent, (release as NSString).lastPathComponent)
    let names = (try? FileManager.default.contentsOfDirectory(atPath: releases)) ?? []
    let others = names.compactMap { name in Int(name.prefix { $0 != "-" }).map { (name: name, version: $0) } }
      .filter { $0.name != own }.sorted { $0.version > $1.version }
    for other in others.dropFirst(keptReleases) {
      try? FileManager.default.removeItem(atPath: "\(releases)/\(other.name)")
    }
  }

  // MARK: - What was accepted

  /// Where what was accepted is remembered.
  var statePath: String { "\(path)/\(Self.stateName)" }

  /// The epoch and manifest of a model accepted last, and the deployment itself; an older version did not remember that.
  ///
  /// - Parameter topic: the deploy topic that is followed. Under another prefix epochs begin anew, and so do another model's: what was
  ///   accepted there counts for nothing here. (An older version did not remember the topic: then it is taken for this one.)
  func loadState(
    of model: String, from topic: String
  ) throws -> (epoch: Int64, manifest: Digest?, deployment: DeploymentRecord?) {
    let file = statePath
    guard let data = FileManager.default.contents(atPath: file) else { return (0, nil, nil) }
    guard let json = try? JSON.parse([UInt8](data)), let epoch = json["epoch"]?.integerValue, epoch >= 0 else {
      throw ClientError(
        .folder, file, expected: "{\"epoch\", \"manifest\"}", found: "something else",
        advice: "delete it to start over with the newest release")
    }
    let deployment = json["deployment"].flatMap { try? DeploymentRecord(json: $0) }
    guard json["topic"]?.stringValue ?? topic == topic, deployment?.model ?? model == model else {
      return (0, nil, nil)
    }
    return (epoch, json["manifest"]?.stringValue.flatMap { Digest(hex: $0) }, deployment)
  }

  /// Whether a release of a model was accepted here of a deploy topic, and so can be gone on with while the log is away.
  package func hasAccepted(_ model: String, from topic: String) -> Bool {
    (try? loadState(of: model, from: topic))?.deployment != nil
  }

  /// Remembers what is accepted of a deploy topic, durably.
  func saveState(_ deployment: DeploymentRecord, from topic: String) throws(ClientError) {
    let json: JSON = [
      "topic": .string(topic), "epoch": .integer(deployment.epoch),
      "manifest": .string(deployment.manifestDigest.hex), "deployment": deployment.json,
    ]
    try Self.write([(name: Self.stateName, bytes: json.bytes)], into: path)
  }

  private static func unwritable(_ error: ModelFileError) -> ClientError {
    ClientError(
      .folder, error.context, expected: error.expected, found: error.found, advice: error.advice, isRetriable: true)
  }
}
