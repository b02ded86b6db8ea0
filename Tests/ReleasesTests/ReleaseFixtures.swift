import FoundationEssentials
import Releases
import Topics

/// What the suites of this module share.
enum Fixtures {
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// An example of a topic, as JSON.
  static func example(_ topic: String, _ name: String) throws -> JSON {
    let path = root.appending(path: "topics/\(topic)/examples/valid/\(name).json")
    return try JSON.parse(Array(try Data(contentsOf: path)))
  }

  /// The signed manifest among the examples.
  static func manifest() throws -> Manifest {
    try Manifest(json: try example("releases", "manifest-signed")["manifest"] ?? nil)
  }

  /// A deployment of that manifest, unsigned.
  static func deployment(epoch: Int64, action: DeploymentRecord.Action = .promote) throws -> DeploymentRecord {
    DeploymentRecord(
      epoch: epoch, action: action, manifest: try manifest(), reason: "A test.", time: "2026-03-02T08:00:00Z")
  }

  /// Runs `body` with a folder of its own and removes it.
  static func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appending(path: "releases-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder.path)
  }

  /// The code of the release error that `body` throws, or nil.
  static func code(_ body: () throws -> Void) -> ReleaseError.Code? {
    do {
      try body()
      return nil
    } catch {
      return (error as? ReleaseError)?.code
    }
  }
}
