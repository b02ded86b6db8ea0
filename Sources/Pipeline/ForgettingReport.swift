public import Topics

/// What a deletion request erased, what it could not, and what has it still.
public struct ForgettingReport: Sendable, Hashable {
  /// A released model.
  public struct Model: Sendable, Hashable {
    /// Its name.
    public let name: String
    /// Its version.
    public let version: Int
  }

  /// The request's id.
  public let id: String
  /// Records of it in `requests` that have an outcome.
  public private(set) var requests: Int
  /// Records of it in `requests` that are yet to be labelled: forget again when they have been.
  public private(set) var waiting: Int
  /// Samples erased, older versions too.
  public internal(set) var samples = 0
  /// Dead letters erased.
  public internal(set) var deadLetters = 0
  /// Answers removed from the teacher's cache on this machine.
  public internal(set) var cached = 0
  /// Records removed from the log at once; `nil` where it cannot.
  public internal(set) var removed: Int?
  /// Where the log cannot remove them at once: when retention will have removed the last one, in milliseconds since 1970.
  public internal(set) var keptUntil: Int64?
  /// The releases whose weights were trained on it.
  public internal(set) var models: [Model] = []
  /// Whether a checkpoint was announced that has come past a sample of it that was trained on: until checkpoints are collected,
  /// their files may hold it.
  public internal(set) var isInCheckpoints = false

  init(id: String, waiting: Int, requests: Int) {
    self.id = id
    self.waiting = waiting
    self.requests = requests
  }

  /// Adds what another look erased.
  mutating func add(_ more: ForgettingReport) {
    requests += more.requests
    waiting = more.waiting
    samples += more.samples
    deadLetters += more.deadLetters
    cached += more.cached
    removed = (removed ?? 0) + (more.removed ?? 0)
    models += more.models.filter { !models.contains($0) }
    isInCheckpoints = isInCheckpoints || more.isInCheckpoints
  }

  /// Whether anything was known of the request.
  public var isKnown: Bool { requests + waiting + samples + deadLetters + cached + models.count > 0 }

  /// The report as `retort requests forget --json` prints it.
  public var json: JSON {
    [
      "id": .string(id), "requests": .integer(Int64(requests)), "waiting": .integer(Int64(waiting)),
      "samples": .integer(Int64(samples)), "deadletters": .integer(Int64(deadLetters)),
      "cached": .integer(Int64(cached)), "removed": removed.map { .integer(Int64($0)) } ?? .null,
      "kept_until": keptUntil.map { .string(RFC3339.text(milliseconds: $0)) } ?? .null,
      "models": .array(models.map { ["name": .string($0.name), "version": .integer(Int64($0.version))] }),
    ]
  }
}
