import FoundationEssentials
import Topics

/// Where the package's files are, found from this file's own path.
enum Files {
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  static func bytes(_ path: String) throws -> [UInt8] {
    Array(try Data(contentsOf: root.appending(path: path)))
  }

  static func json(_ path: String) throws -> JSON { try JSON.parse(try bytes(path)) }

  /// The JSON files in a folder, by name.
  static func examples(_ folder: String) throws -> [(name: String, json: JSON)] {
    let names = try FileManager.default.contentsOfDirectory(atPath: root.appending(path: folder).path)
    return try names.filter { $0.hasSuffix(".json") }.sorted().map { ($0, try json("\(folder)/\($0)")) }
  }
}

/// A small generator with a seed, so that a failing case can be had again (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// The value types of all topics, by topic.
let valueTypes: [any TopicValue.Type] = [
  RequestRecord.self, SampleRecord.self, LedgerRecord.self, DeadLetterRecord.self, CheckpointRecord.self,
  ReleaseRecord.self, DeploymentRecord.self, ArtifactChunk.self, AdoptionRecord.self, FeedbackRecord.self,
]

/// The shared data sets, which are not part of the repository; tests that need them are skipped where they are not.
enum DataSets {
  static let folder =
    ProcessInfo.processInfo.environment["RETORT_DATA"].map { URL(filePath: $0) }
    ?? Files.root.deletingLastPathComponent().appending(path: "shared/data")

  static var areThere: Bool {
    FileManager.default.fileExists(atPath: folder.appending(path: "snips/functions.json").path)
  }

  static func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: folder.appending(path: path))) }
}
