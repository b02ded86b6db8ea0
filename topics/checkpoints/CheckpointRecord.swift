/// A checkpoint of a student: where its bytes are, and how far in the samples it has come.
public struct CheckpointRecord: TopicValue, Hashable {
  /// The `schema` header of the records.
  public static let schemaName = "checkpoints/1.0"

  /// The topic's settings.
  public static let topic = TopicSpecification(
    name: "checkpoints", key: "student name, for release points followed by /release-<k>", cleanup: [.compact],
    schemaName: schemaName, schema: PackageResources.checkpoints_schema_json)

  /// The student's name.
  public var student: String
  /// The digest of the checkpoint's bytes.
  public var digest: Digest
  /// Where they are: `file:`, `https:` or `log:`.
  public var uri: String
  /// The digest of the chain of samples consumed.
  public var chain: Digest
  /// The next offset of `samples` to read.
  public var position: Int64
  /// How many samples were consumed, all splits together.
  public var samplesSeen: Int
  /// How many rounds were trained.
  public var round: Int
  /// The number of the release that starts from here, from 1; nil for mere progress.
  public var releasePoint: Int?
  /// How well the student predicted the samples of its last rounds before it learned from them.
  public var prequential: PrequentialScore?
  /// Whether the traffic has drifted lately: audited samples were predicted worse than before, or samples say so.
  public var isDrifting = false
  /// The numerics version that made the weights.
  public var numerics: String
  /// The digest of the recipe.
  public var recipe: Digest?
  /// Fields that this version does not know.
  public var extra: JSONObject

  /// A checkpoint.
  public init(
    student: String, digest: Digest, uri: String, chain: Digest, position: Int64, samplesSeen: Int, round: Int,
    releasePoint: Int? = nil, prequential: PrequentialScore? = nil, numerics: String, recipe: Digest? = nil,
    extra: JSONObject = [:]
  ) {
    self.student = student
    self.digest = digest
    self.uri = uri
    self.chain = chain
    self.position = position
    self.samplesSeen = samplesSeen
    self.round = round
    self.releasePoint = releasePoint
    self.prequential = prequential
    self.numerics = numerics
    self.recipe = recipe
    self.extra = extra
  }

  /// The record's key: release points have keys of their own, so that compaction never hides one.
  public var key: String { releasePoint.map { "\(student)/release-\($0)" } ?? student }

  /// Reads a checkpoint.
  ///
  /// - Throws: `TopicError` when a field is wrong.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "checkpoints")
    student = try fields.string("student", 1...128)
    digest = try fields.digest("digest")
    uri = try fields.string("uri", 1...4_096)
    chain = try fields.digest("chain")
    position = try fields.integer("position")
    samplesSeen = try fields.int("samples_seen")
    round = try fields.int("round")
    releasePoint = try fields.optionalInt("release_point", 1...(1 << 53))
    prequential = try fields.optionalNested("prequential") { (json) throws(TopicError) -> PrequentialScore in
      try PrequentialScore(json: json)
    }
    isDrifting = try fields.optionalBool("drifting") ?? false
    numerics = try fields.string("numerics", 1...64)
    recipe = try fields.optionalDigest("recipe")
    extra = fields.rest
  }

  /// The record's value.
  public var json: JSON {
    var object: JSONObject = [
      "student": .string(student), "digest": .string(digest.hex), "uri": .string(uri), "chain": .string(chain.hex),
      "position": .integer(position), "samples_seen": .integer(Int64(samplesSeen)), "round": .integer(Int64(round)),
    ]
    object["release_point"] = releasePoint.map { .integer(Int64($0)) }
    object["prequential"] = prequential?.json
    if isDrifting { object["drifting"] = true }
    object["numerics"] = .string(numerics)
    object["recipe"] = recipe.map { .string($0.hex) }
    object.merge(extra)
    return .object(object)
  }
}
