import StudentModel
public import Topics

extension TrainingRecipe {
  /// One setting: its key, where it lives, and its range.
  enum Knob {
    case integer(String, WritableKeyPath<TrainingRecipe, Int>, ClosedRange<Int>)
    case number(String, WritableKeyPath<TrainingRecipe, Double>, ClosedRange<Double>)
    /// A text, and whether it may be set.
    case text(String, WritableKeyPath<TrainingRecipe, String>, allowed: String, (String) -> Bool)

    var name: String {
      switch self {
      case .integer(let name, _, _), .number(let name, _, _), .text(let name, _, _, _): name
      }
    }
  }

  /// A text that is one of an enumeration's cases.
  private static func choice<E: RawRepresentable & CaseIterable>(
    _ name: String, _ path: WritableKeyPath<TrainingRecipe, String>, _ type: E.Type
  ) -> Knob where E.RawValue == String {
    .text(name, path, allowed: E.allCases.map(\.rawValue).joined(separator: ", ")) { E(rawValue: $0) != nil }
  }

  /// All settings in the order in which they are written.
  static var knobs: [Knob] {
    [
      .integer("hidden_size", \.hiddenSize, 32...8_192),
      .integer("layer_count", \.layerCount, 1...128),
      .integer("head_count", \.headCount, 1...128),
      .integer("key_value_head_count", \.keyValueHeadCount, 1...128),
      .integer("feed_forward_size", \.feedForwardSize, 32...65_536),
      .number("rope_theta", \.ropeTheta, 1...1e9),
      .number("embedding_deviation", \.embeddingDeviation, 1e-6...10),
      .number("linear_gain", \.linearGain, 1e-6...10),
      .integer("vocabulary_size", \.vocabularySize, 300...200_000),
      .integer("space_fused_pieces", \.spaceFusedPieces, 0...100_000),
      .integer("tokenizer_samples", \.tokenizerSamples, 1...1_000_000),
      .integer("maximum_sequence", \.maximumSequence, 16...32_768),
      .integer("round_size", \.roundSize, 1...65_536),
      .number("replay_per_sample", \.replayPerSample, 0...10_000),
      .integer("replay_choices", \.replayChoices, 1...16),
      .number("replay_balance", \.replayBalance, 0...1),
      .integer("batch_size", \.batchSize, 1...4_096),
      .integer("release_every", \.releaseEvery, 1...1_000_000_000),
      .number("drift_confidence", \.driftConfidence, 0...0.5),
      .integer("drift_samples", \.driftSamples, 1...1_000_000_000),
      .number("drift_release_share", \.driftReleaseShare, 0.001...1),
      .number("learning_rate", \.learningRate, 0...1),
      .integer("warmup_steps", \.warmupSteps, 0...1_000_000),
      .number("weight_decay", \.weightDecay, 0...1),
      .number("beta1", \.beta1, 0...0.9999),
      .number("beta2", \.beta2, 0...0.999999),
      .number("epsilon", \.epsilon, 1e-12...0.1),
      .number("clip_norm", \.clipNorm, 1e-6...1e6),
      .number("dropout", \.dropout, 0...0.9),
      .number("prompt_loss_share", \.promptLossShare, 0...1),
      choice("precision", \.precisionName, Precision.self),
      choice("optimizer_state", \.optimizerStateName, OptimizerState.self),
      choice("clip_scope", \.clipScopeName, ClipScope.self),
      .integer("accumulation_steps", \.accumulationSteps, 1...4_096),
      .integer("recompute_activations", \.recomputeActivations, 0...1),
      .integer("share_prefixes", \.sharePrefixes, 0...1),
      .integer("lora_rank", \.loraRank, 0...1_024),
      .number("lora_alpha", \.loraAlpha, 1e-3...1e5),
      .text("lora_targets", \.loraTargets, allowed: "names of q k v o gate up down, commas between") { text in
        var recipe = TrainingRecipe()
        recipe.loraTargets = text
        return recipe.loraTargetList != nil
      },
      .integer("base_steps", \.baseSteps, 0...1_000_000),
      .integer("base_until", \.baseUntil, 0...1_000_000_000),
      .number("base_share", \.baseShare, 0...1),
      .integer("base_batch_size", \.baseBatchSize, 1...4_096),
      .number("base_learning_rate", \.baseLearningRate, 0...1),
      .number("swap_probability", \.swapProbability, 0...1),
      .number("swap_uniform_share", \.swapUniformShare, 0...1),
      .number("swap_invented_share", \.swapInventedShare, 0...1),
      .integer("swap_invented_until", \.swapInventedUntil, 1...1_000_000_000),
      .integer("decay_steps", \.decaySteps, 0...1_000_000),
      .integer("candidate_steps", \.candidateSteps, 0...10_000_000),
      .number("final_rate_share", \.finalRateShare, 0...1),
      .text("distill_teacher", \.distillTeacher, allowed: "64 hexadecimal digits, samples, or nothing") {
        $0.isEmpty || $0 == samples || Digest(hex: $0) != nil
      },
      .number("distill_weight", \.distillWeight, 0...1),
      choice("distill_direction", \.distillDirectionName, DistillationLoss.Direction.self),
      .integer("distill_top", \.distillTop, 0...DistillationLoss.topLimit),
      .integer("distill_steps", \.distillSteps, 0...1_000_000),
      .integer("distill_requests", \.distillRequests, 1...4_096),
      .number("distill_rate", \.distillRate, 0...1),
      .integer("sample_count", \.sampleCount, 2...1_024),
      .number("sample_temperature", \.sampleTemperature, 0.05...10),
      choice("sample_judge", \.sampleJudgeName, Judge.self),
      .integer("rft_steps", \.rftSteps, 0...1_000_000),
      .integer("rft_requests", \.rftRequests, 1...1_000_000),
      .number("rft_rate", \.rftRate, 0...1),
      .integer("rl_steps", \.rlSteps, 0...1_000_000),
      .integer("rl_requests", \.rlRequests, 1...4_096),
      .number("rl_rate", \.rlRate, 0...1),
      .integer("rl_updates", \.rlUpdates, 1...64),
      .number("rl_clip_low", \.rlClipLow, 0...1),
      .number("rl_clip_high", \.rlClipHigh, 0...100),
      .number("rl_kl", \.rlKL, 0...1),
      choice("rl_advantage", \.rlAdvantageName, Advantage.self),
      .integer("seed", \.seed, 0...((1 << 53) - 1)),
    ]
  }

  /// The keys that a recipe may have, in the order in which they are written.
  public static var keys: [String] { knobs.map(\.name) }

  /// The keys that came when there were checkpoints and releases already: a new one is added here. Where such a key is at its default,
  /// which changes nothing, recipes are recorded without it, so that what was made before is of the same recipe still, and programs
  /// of before read the checkpoints. (A default that changes what is trained is another numerics version.)
  private static let laterKeys: Set<String> = ["share_prefixes"]

  /// The recipe as checkpoints and digests have it.
  var recorded: JSON {
    let (all, defaults) = (json, Self().json)
    var object = JSONObject()
    for key in Self.keys where !Self.laterKeys.contains(key) || all[key] != defaults[key] { object[key] = all[key] }
    return .object(object)
  }

  /// A recipe from a JSON object; what it does not name keeps its default.
  ///
  /// - Throws: ``TrainingError`` with code `invalid_recipe` for a key that is not known (naming the nearest one), a
  ///   value of the wrong type or outside its range, or sizes that do not fit each other.
  public init(json: JSON) throws(TrainingError) {
    self.init()
    guard let object = json.objectValue else {
      throw Self.invalid("recipe", "an object", json.typeName, "write settings as \"key\": value")
    }
    let knobs = Self.knobs
    for (key, value) in object {
      guard let knob = knobs.first(where: { $0.name == key }) else {
        let nearest = NearestName.of(key, among: Self.keys)
        throw Self.invalid("recipe", "a known key", "\"\(key.prefix(64))\"", "did you mean \"\(nearest)\"?")
      }
      try set(knob, value)
    }
    try checkSizes()
  }

  /// The recipe as JSON: every key, in order.
  public var json: JSON {
    var object = JSONObject()
    for knob in Self.knobs {
      switch knob {
      case .integer(let name, let path, _): object[name] = .integer(Int64(self[keyPath: path]))
      case .number(let name, let path, _): object[name] = .number(self[keyPath: path])
      case .text(let name, let path, _, _): object[name] = .string(self[keyPath: path])
      }
    }
    return .object(object)
  }

  /// What is another value in another recipe, in order: "base_steps 0 instead of 1000".
  package func differences(from other: TrainingRecipe) -> [String] {
    Self.keys.compactMap { key in
      guard let own = json[key], let its = other.json[key], own != its else { return nil }
      return "\(key) \(Self.shown(own)) instead of \(Self.shown(its))"
    }
  }

  private mutating func set(_ knob: Knob, _ value: JSON) throws(TrainingError) {
    switch knob {
    case .integer(let name, let path, let range):
      guard let number = value.integerValue, let whole = Int(exactly: number), range.contains(whole) else {
        throw Self.invalid(
          name, "a whole number in \(range.lowerBound)…\(range.upperBound)", Self.shown(value), "correct the recipe")
      }
      self[keyPath: path] = whole
    case .number(let name, let path, let range):
      guard let number = value.doubleValue, number.isFinite, range.contains(number) else {
        throw Self.invalid(
          name, "a number in \(range.lowerBound)…\(range.upperBound)", Self.shown(value), "correct the recipe")
      }
      self[keyPath: path] = number
    case .text(let name, let path, let allowed, let isAllowed):
      guard let text = value.stringValue, isAllowed(text) else {
        throw Self.invalid(name, allowed, Self.shown(value), "correct the recipe")
      }
      self[keyPath: path] = text
    }
  }

  private func checkSizes() throws(TrainingError) {
    func require(_ holds: Bool, _ name: String, _ expected: String, _ found: Int) throws(TrainingError) {
      guard holds else { throw Self.invalid(name, expected, String(found), "correct the recipe") }
    }
    try require(
      headCount % keyValueHeadCount == 0, "key_value_head_count", "a divisor of \(headCount)", keyValueHeadCount)
    try require(hiddenSize % headCount == 0, "head_count", "a divisor of \(hiddenSize)", headCount)
    try require(hiddenSize / headCount % 2 == 0, "hidden_size", "an even number of channels a head", hiddenSize)
    try require(
      spaceFusedPieces <= vocabularySize - 294, "space_fused_pieces", "at most \(vocabularySize - 294)",
      spaceFusedPieces)
    try require(hiddenSize % 32 == 0, "hidden_size", "a multiple of 32", hiddenSize)
    try require(feedForwardSize % 32 == 0, "feed_forward_size", "a multiple of 32", feedForwardSize)
    try require(
      clipScope == .global || accumulationSteps == 1, "accumulation_steps",
      "1 with \"clip_scope\": \"tensor\", which keeps no gradient to add to", accumulationSteps)
    try require(
      loraRank == 0 || precision == .bf16, "lora_rank", "0, or \"precision\": \"bf16\" (the base is kept in bf16)",
      loraRank)
    guard clipScope == .global || teacherDigest == nil else {
      throw Self.invalid(
        "distill_teacher", "none or samples with \"clip_scope\": \"tensor\", whose gradients are of the label alone",
        distillTeacher, "correct the recipe")
    }
    try require(
      distillSteps == 0 || teacherDigest != nil, "distill_steps",
      "0 without a teacher that can be asked (a folder or a file as train.teacher)", distillSteps)
    guard !distillsSamples || distillDirection == .forward else {
      throw Self.invalid(
        "distill_direction", "forward with \"distill_teacher\": \"samples\", whose tail is one mass", "reverse",
        "correct the recipe")
    }
    try require(
      loraRank == 0 || clipScope == .global, "lora_rank", "0, or \"clip_scope\": \"global\" (adapters are small)",
      loraRank)
  }

  private var precisionName: String {
    get { precision.rawValue }
    set { precision = Precision(rawValue: newValue) ?? precision }
  }

  private var optimizerStateName: String {
    get { optimizerState.rawValue }
    set { optimizerState = OptimizerState(rawValue: newValue) ?? optimizerState }
  }

  private var clipScopeName: String {
    get { clipScope.rawValue }
    set { clipScope = ClipScope(rawValue: newValue) ?? clipScope }
  }

  private var distillDirectionName: String {
    get { distillDirection.rawValue }
    set { distillDirection = DistillationLoss.Direction(rawValue: newValue) ?? distillDirection }
  }

  private var rlAdvantageName: String {
    get { rlAdvantage.rawValue }
    set { rlAdvantage = Advantage(rawValue: newValue) ?? rlAdvantage }
  }

  private var sampleJudgeName: String {
    get { sampleJudge.rawValue }
    set { sampleJudge = Judge(rawValue: newValue) ?? sampleJudge }
  }

  private static func invalid(
    _ context: String, _ expected: String, _ found: String, _ advice: String
  ) -> TrainingError {
    TrainingError(.invalidRecipe, context: context, expected: expected, found: found, advice: advice)
  }

  private static func shown(_ value: JSON) -> String { String(value.text.prefix(64)) }
}
