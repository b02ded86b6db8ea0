/// What a model was made of: everything its weight bytes are a function of, and hints for finding it again.
public struct Lineage: Sendable, Hashable {
  /// The digest of the base weights, or of the pretrained layers of which a student from scratch has its share; nil where training
  /// started from random ones.
  public var base: Digest?
  /// The digest of the chain of samples consumed.
  public var chain: Digest
  /// The topic of the samples, where a replay relabelled them into one of its own; nil for the deployment's `samples`.
  public var topic: String?
  /// Hint: the first offset of `samples`.
  public var fromOffset: Int64
  /// Hint: one past the last offset.
  public var toOffset: Int64
  /// How many samples were consumed.
  public var samples: Int
  /// How many of them have been erased from the log since.
  public var erased: Int
  /// The digest of the recipe.
  public var recipe: Digest
  /// The digest of how it was compressed, every setting of it; nil in a manifest of a program that did not say so.
  public var compression: Digest?
  /// The seed of every random draw.
  public var seed: UInt64
  /// The numerics version.
  public var numerics: String
  /// The version of the program that made it.
  public var code: String
  /// The producers of the labels; of more than ``maximumTeachers`` the first by name.
  public var teachers: [String]
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// The most producers that a lineage names.
  public static let maximumTeachers = 256

  /// A lineage.
  public init(
    base: Digest?, chain: Digest, topic: String? = nil, fromOffset: Int64, toOffset: Int64, samples: Int,
    erased: Int = 0, recipe: Digest, compression: Digest? = nil, seed: UInt64, numerics: String, code: String,
    teachers: [String]
  ) {
    self.base = base
    self.chain = chain
    self.topic = topic
    self.fromOffset = fromOffset
    self.toOffset = toOffset
    self.samples = samples
    self.erased = erased
    self.recipe = recipe
    self.compression = compression
    self.seed = seed
    self.numerics = numerics
    self.code = code
    self.teachers = teachers
  }

  /// Reads the lineage.
  ///
  /// - Throws: `TopicError` when a field is missing or wrong.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "lineage")
    base = try fields.optionalDigest("base")
    chain = try fields.digest("chain")
    topic = try fields.optionalString("topic", 1...249)
    fromOffset = try fields.integer("from_offset")
    toOffset = try fields.integer("to_offset")
    guard fromOffset <= toOffset else {
      throw fields.invalid("to_offset", "an offset from \(fromOffset)", "\(toOffset)")
    }
    samples = try fields.int("samples")
    erased = try fields.int("erased")
    recipe = try fields.digest("recipe")
    compression = try fields.optionalDigest("compression")
    let text = try fields.string("seed", 1...20)
    guard let seed = UInt64(text), String(seed) == text else {
      throw fields.invalid("seed", "a whole number below 2^64, as text", "\"\(text)\"")
    }
    self.seed = seed
    numerics = try fields.string("numerics", 1...64)
    code = try fields.string("code", 1...128)
    teachers = try fields.optionalStrings("teachers", 0...Self.maximumTeachers) ?? []
    extra = fields.rest
  }

  /// The lineage as JSON; the seed is text, since canonical numbers have 53 bits.
  public var json: JSON {
    var object: JSONObject = [:]
    object["base"] = base.map { .string($0.hex) }
    object["chain"] = .string(chain.hex)
    object["topic"] = topic.map { .string($0) }
    object["from_offset"] = .integer(fromOffset)
    object["to_offset"] = .integer(toOffset)
    object["samples"] = .integer(Int64(samples))
    object["erased"] = .integer(Int64(erased))
    object["recipe"] = .string(recipe.hex)
    object["compression"] = compression.map { .string($0.hex) }
    object["seed"] = .string(String(seed))
    object["numerics"] = .string(numerics)
    object["code"] = .string(code)
    object["teachers"] = .array(teachers.map { .string($0) })
    object.merge(extra)
    return .object(object)
  }
}
