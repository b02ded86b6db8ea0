import Evaluation
import ModelFiles
import StudentModel
import Topics

/// The readable part of a checkpoint, kept as one JSON text in the file's metadata under the key `retort`.
///
/// Layout of the file (safetensors): `trunk.parameters` (F32, flat, canonical order; adapters alone where they learn),
/// `trunk.first_moment`, `trunk.second_moment` (F32, or U8: the bytes of what `optimizer_state` keeps), `memory.presentations` (U32, one for each learned sample), `memory.tail` (U8, the last segment's lines),
/// `tokenizer` (U8, tokenizer.json), `functions` (U8, canonical JSON). Trunk and tokenizer are absent before the student
/// exists; empty tensors are left out. Full segments of the memory are files of their own, named by digest, and so is the
/// frozen base of adapters (bfloat16, flat, canonical order), which is written once.
struct CheckpointHeader: Sendable {
  static let format = "retort-checkpoint/1"
  static let metadataKey = "retort"

  var numerics: String
  var recipe: TrainingRecipe
  var functionsDigest: Digest
  var baseDigest: Digest?
  var state: TrainerState
  var configuration: DecoderConfiguration?
  var optimizerStep: Int
  var segments: [Digest]
  var nextSequence: Int
  var learnedThrough: Int
  /// The frozen base of adapters.
  var frozen: Digest?

  var json: JSON {
    var object = JSONObject()
    object["format"] = .string(Self.format)
    object["numerics"] = .string(numerics)
    object["recipe"] = recipe.recorded
    object["functions"] = .string(functionsDigest.hex)
    object["base"] = baseDigest.map { .string($0.hex) } ?? .null
    object["state"] = state.json
    object["configuration"] = configuration.map(Self.json) ?? .null
    object["optimizer_step"] = .integer(Int64(optimizerStep))
    object["segments"] = .array(segments.map { .string($0.hex) })
    object["frozen"] = frozen.map { .string($0.hex) } ?? .null
    object["next_sequence"] = .integer(Int64(nextSequence))
    object["learned_through"] = .integer(Int64(learnedThrough))
    return .object(object)
  }

  /// Reads what ``json`` wrote.
  ///
  /// - Throws: ``TrainingError`` `checkpoint_mismatch` for another format or numerics version, or a recipe that is not known here,
  ///   `checkpoint_damaged` for a field that is missing or of another kind.
  init(json: JSON, path: String) throws(TrainingError) {
    (segments, frozen) = try Self.parts(of: json, path: path)
    let numerics = json["numerics"]?.stringValue ?? "none"
    var recipe: TrainingRecipe?
    do throws(TrainingError) {
      if let value = json["recipe"] { recipe = try TrainingRecipe(json: value) }
    } catch {
      throw Self.mismatch(
        path, "a recipe of keys and values that this program knows", error.found,
        "use the program that wrote it, or start over from the first sample with this one (`retort train --anew`)")
    }
    let own = recipe?.numerics ?? Numerics.version
    guard numerics == own else {
      throw Self.mismatch(
        path, "the numerics version \(own)", String(numerics.prefix(64)),
        "start over from the first sample with this version (`retort train --anew`), or use the program that wrote it")
    }
    func part<T>(_ name: String, _ value: T?) throws(TrainingError) -> T { try Self.part(name, value, path: path) }
    func count(_ name: String) throws(TrainingError) -> Int { try part(name, json.count(name)) }
    self.numerics = numerics
    self.recipe = try part("recipe", recipe)
    functionsDigest = try part("functions", json.digest("functions"))
    baseDigest = try json["base"]?.isNull == true ? nil : part("base", json.digest("base"))
    state = try part("state", json["state"].flatMap { TrainerState(json: $0) })
    optimizerStep = try count("optimizer_step")
    nextSequence = try count("next_sequence")
    learnedThrough = try count("learned_through")
    let sizes = json["configuration"] ?? .null
    configuration = try sizes.isNull ? nil : part("configuration", Self.configuration(sizes))
  }

  /// The other files that a checkpoint needs, also where it is of a recipe or numerics that are not this program's.
  ///
  /// - Throws: as ``init(json:path:)``, for the format and these fields alone.
  static func parts(of json: JSON, path: String) throws(TrainingError) -> (segments: [Digest], frozen: Digest?) {
    let format = json["format"]?.stringValue ?? "none"
    guard format == Self.format else {
      throw mismatch(path, "the format \(Self.format)", String(format.prefix(64)), "use the program that wrote it")
    }
    var segments: [Digest] = []
    for name in try part("segments", json["segments"]?.arrayValue, path: path) {
      segments.append(try part("segments", name.stringValue.flatMap { Digest(hex: $0) }, path: path))
    }
    let isNull = json["frozen"].map(\.isNull) ?? true
    return (segments, try isNull ? nil : part("frozen", json.digest("frozen"), path: path))
  }

  private static func part<T>(_ name: String, _ value: T?, path: String) throws(TrainingError) -> T {
    guard let value else {
      throw TrainingError.damaged("\(path), \(name)", expected: "a valid value", found: "none")
    }
    return value
  }

  init(
    recipe: TrainingRecipe, functionsDigest: Digest, baseDigest: Digest?, state: TrainerState,
    configuration: DecoderConfiguration?, optimizerStep: Int, segments: [Digest], nextSequence: Int,
    learnedThrough: Int, frozen: Digest?
  ) {
    numerics = recipe.numerics
    self.recipe = recipe
    self.functionsDigest = functionsDigest
    self.baseDigest = baseDigest
    self.state = state
    self.configuration = configuration
    self.optimizerStep = optimizerStep
    self.segments = segments
    self.nextSequence = nextSequence
    self.learnedThrough = learnedThrough
    self.frozen = frozen
  }

  static func mismatch(
    _ context: String, _ expected: String, _ found: String, _ advice: String
  ) -> TrainingError {
    TrainingError(.checkpointMismatch, context: context, expected: expected, found: found, advice: advice)
  }

  static func json(_ sizes: DecoderConfiguration) -> JSON {
    var object: JSONObject = [
      "vocabulary_size": .integer(Int64(sizes.vocabularySize)), "hidden_size": .integer(Int64(sizes.hiddenSize)),
      "layer_count": .integer(Int64(sizes.layerCount)), "head_count": .integer(Int64(sizes.headCount)),
      "key_value_head_count": .integer(Int64(sizes.keyValueHeadCount)), "head_size": .integer(Int64(sizes.headSize)),
      "feed_forward_size": .integer(Int64(sizes.feedForwardSize)),
      "maximum_positions": .integer(Int64(sizes.maximumPositions)), "rope_theta": .number(sizes.ropeTheta),
      "norm_epsilon": .number(sizes.normEpsilon), "ties_embeddings": .bool(sizes.tiesEmbeddings),
      "attention_bias": .bool(sizes.attentionBias),
    ]
    if case .llama3(let factor, let low, let high, let original)? = sizes.ropeScaling {
      object["rope_scaling"] = [.number(factor), .number(low), .number(high), .integer(Int64(original))]
    }
    return .object(object)
  }

  private static func configuration(_ json: JSON) -> DecoderConfiguration? {
    guard let vocabulary = json.count("vocabulary_size"), let hidden = json.count("hidden_size"),
      let layers = json.count("layer_count"), let heads = json.count("head_count"),
      let keyValueHeads = json.count("key_value_head_count"), let head = json.count("head_size"),
      let feedForward = json.count("feed_forward_size"), let positions = json.count("maximum_positions"),
      let theta = json["rope_theta"]?.doubleValue, let epsilon = json["norm_epsilon"]?.doubleValue,
      let ties = json["ties_embeddings"]?.boolValue, let bias = json["attention_bias"]?.boolValue
    else { return nil }
    var scaling: RopeScaling?
    if let values = json["rope_scaling"] {
      let numbers = (values.arrayValue ?? []).compactMap(\.doubleValue)
      guard numbers.count == 4, let original = Int(exactly: numbers[3]) else { return nil }
      scaling = .llama3(
        factor: numbers[0], lowFrequencyFactor: numbers[1], highFrequencyFactor: numbers[2],
        originalPositions: original)
    }
    let sizes = DecoderConfiguration(
      vocabularySize: vocabulary, hiddenSize: hidden, layerCount: layers, headCount: heads,
      keyValueHeadCount: keyValueHeads, headSize: head, feedForwardSize: feedForward, maximumPositions: positions,
      ropeTheta: theta, ropeScaling: scaling, normEpsilon: epsilon, tiesEmbeddings: ties, attentionBias: bias)
    return (try? sizes.validate()) == nil ? nil : sizes
  }
}

extension JSON {
  /// A member that is a whole number ≥ 0.
  fileprivate func count(_ key: String) -> Int? {
    self[key]?.integerValue.flatMap { Int(exactly: $0) }.flatMap { $0 < 0 ? nil : $0 }
  }

  /// A member that is a digest.
  fileprivate func digest(_ key: String) -> Digest? {
    self[key]?.stringValue.flatMap { Digest(hex: $0) }
  }
}

extension TrainerState {
  fileprivate var json: JSON {
    var object: JSONObject = [
      "chain": .string(chain.digest.hex), "position": .integer(position), "round": .integer(Int64(round)),
      "samples_learned": .integer(Int64(samplesLearned)), "since_release": .integer(Int64(sinceRelease)),
      "release_points": .integer(Int64(releasePoints)), "is_cut": .bool(isCut), "is_release_due": .bool(isReleaseDue),
      "prequential": prequential.json, "recent": .array(recent.map(\.json)),
    ]
    if lessons > 0 { object["lessons"] = .integer(Int64(lessons)) }
    if let detector {
      object["drift"] = [
        "detector": detector.json, "count": .integer(Int64(drifts)), "until": .integer(Int64(driftsUntil)),
      ]
    }
    return .object(object)
  }

  fileprivate init?(json: JSON) {
    guard let chain = json.digest("chain"), let position = json["position"]?.integerValue, position >= 0,
      let round = json.count("round"), let learned = json.count("samples_learned"),
      let since = json.count("since_release"), let points = json.count("release_points"),
      let lessons = json["lessons"] == nil ? 0 : json.count("lessons"),
      let isCut = json["is_cut"]?.boolValue, let isDue = json["is_release_due"]?.boolValue,
      let tally = json["prequential"].flatMap({ PredictionTally(json: $0) }), let list = json["recent"]?.arrayValue
    else { return nil }
    let recent = list.compactMap { PredictionTally(json: $0) }
    guard recent.count == list.count, recent.count <= Self.recentRounds else { return nil }
    self.init()
    self.chain = SampleChain(digest: chain)
    self.position = position
    self.round = round
    samplesLearned = learned
    sinceRelease = since
    releasePoints = points
    self.isCut = isCut
    isReleaseDue = isDue
    prequential = tally
    self.recent = recent
    self.lessons = lessons
    guard let drift = json["drift"] else { return }
    guard let detector = drift["detector"].flatMap({ DriftDetector(json: $0) }), let drifts = drift.count("count"),
      let until = drift.count("until")
    else { return nil }
    self.detector = detector
    self.drifts = drifts
    driftsUntil = until
  }
}

extension PredictionTally {
  fileprivate var json: JSON {
    [.integer(Int64(count)), .integer(Int64(exact)), .integer(Int64(functions))]
  }

  fileprivate init?(json: JSON) {
    let numbers = (json.arrayValue ?? []).compactMap { $0.integerValue.flatMap { Int(exactly: $0) } }
    guard numbers.count == 3, numbers.allSatisfy({ $0 >= 0 }) else { return nil }
    self.init(count: numbers[0], exact: numbers[1], functions: numbers[2])
  }
}
