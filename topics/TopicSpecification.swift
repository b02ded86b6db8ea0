/// How a topic is created and what its records are.
public struct TopicSpecification: Sendable {
  /// What the log does with old records.
  public enum Cleanup: String, Sendable, Hashable, CaseIterable {
    /// Records older than the retention go.
    case delete
    /// Of each key the last record stays; a tombstone removes the key.
    case compact
  }

  /// The prefix of a deployment where none is configured.
  public static let defaultPrefix = "retort."

  /// The name without the deployment's prefix.
  public let name: String
  /// What the key is.
  public let key: String
  /// How many partitions are made where nothing else is configured.
  public let partitions: Int
  /// Whether another number of partitions may be configured; where not, the order of one partition is meant.
  public let partitionsAreFixed: Bool
  /// What happens to old records.
  public let cleanup: Set<Cleanup>
  /// How long records stay in topics that delete, in milliseconds; nil: for ever.
  public let retentionMilliseconds: Int64?
  /// How long a tombstone stays in topics that compact, in milliseconds; nil: as the log has it by default, a day.
  public let tombstoneMilliseconds: Int64?
  /// Whether the log stamps records with the time at which it appended them.
  public let logAppendTime: Bool
  /// The largest record, key and headers included, in bytes.
  public let maximumMessageBytes: Int
  /// The `content-type` header of its records.
  public let contentType: String
  /// The `schema` header of its records: name and major.minor.
  public let schemaName: String
  /// The JSON Schema of its values (of the JSON view, where the value is binary).
  public let schema: JSONSchema

  init(
    name: String, key: String, partitions: Int = 1, partitionsAreFixed: Bool = true, cleanup: Set<Cleanup>,
    retentionMilliseconds: Int64? = nil, tombstoneMilliseconds: Int64? = nil, logAppendTime: Bool = false,
    maximumMessageBytes: Int = 1 << 20, contentType: String = "application/json", schemaName: String,
    schema bytes: [UInt8]
  ) {
    self.name = name
    self.key = key
    self.partitions = partitions
    self.partitionsAreFixed = partitionsAreFixed
    self.cleanup = cleanup
    self.retentionMilliseconds = retentionMilliseconds
    self.tombstoneMilliseconds = tombstoneMilliseconds
    self.logAppendTime = logAppendTime
    self.maximumMessageBytes = maximumMessageBytes
    self.contentType = contentType
    self.schemaName = schemaName
    schema = Self.compiled(bytes, name)
  }

  /// The schema comes with the binary, so a broken one is a mistake of the build, which every test run would show.
  private static func compiled(_ bytes: [UInt8], _ name: String) -> JSONSchema {
    do {
      return try JSONSchema(try JSON.parse(bytes))
    } catch {
      preconditionFailure("The embedded schema of \(name) is broken: \(error)")
    }
  }

  /// Every topic, in the order of a request's life.
  public static let all: [TopicSpecification] = [
    RequestRecord.topic, SampleRecord.topic, LedgerRecord.topic, DeadLetterRecord.topic, CheckpointRecord.topic,
    ReleaseRecord.topic, DeploymentRecord.topic, ArtifactChunk.topic, AdoptionRecord.topic, FeedbackRecord.topic,
  ]

  /// The topic called `name`, without prefix, or nil.
  public static func named(_ name: String) -> TopicSpecification? { all.first { $0.name == name } }

  /// Whether a `schema` header is one whose values this version reads: the same name and major version, any minor.
  public func reads(schema header: String) -> Bool {
    // Nearly always; and taking texts apart is dear on a path that every record goes.
    if header == schemaName { return true }
    guard let (name, major) = Self.parts(header), let own = Self.parts(schemaName) else { return false }
    return name == own.name && major == own.major
  }

  private static func parts(_ header: String) -> (name: Substring, major: Int)? {
    let halves = header.split(separator: "/", omittingEmptySubsequences: false)
    guard halves.count == 2, header.utf8.count <= 128 else { return nil }
    let numbers = halves[1].split(separator: ".", omittingEmptySubsequences: false)
    guard numbers.count == 2, let major = Int(numbers[0]), Int(numbers[1]) != nil else { return nil }
    return (halves[0], major)
  }
}
