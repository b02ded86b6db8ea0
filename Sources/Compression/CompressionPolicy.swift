public import StudentModel
public import Topics
public import Training

/// How a student is compressed: what is pruned, how it recovers, how its weights are rounded and stored.
///
/// As JSON it is one flat object whose keys are the snake-case names of the properties.
public struct CompressionPolicy: Sendable, Hashable {
  /// How the rounding of weights is fitted to what the linear layers read on samples.
  public enum Calibration: String, Sendable, Hashable, CaseIterable {
    /// Each weight to the nearest value.
    case nearest
    /// Channels that read large values are scaled up before rounding, and what they read down; see ``ActivationScaling``.
    case awq
    /// Each rounding error is made up for by the weights after it; see ``ErrorCompensation``.
    case gptq
    /// Both, scaling first.
    case both = "awq+gptq"

    var scales: Bool { self == .awq || self == .both }
    var compensates: Bool { self == .gptq || self == .both }
  }

  /// What a part's importance is measured from, where there are samples.
  public enum ImportanceSource: String, Sendable, Hashable, CaseIterable {
    /// How large what it gives is; see ``Importance``.
    case activations
    /// How much the loss changes without it, to first order; see ``Importance/measureGradients(of:on:)``.
    case gradients
  }

  /// What is taken out; default a sixteenth of the feed-forward neurons.
  public var prune = PruningPlan(feedForwardKeep: 0.9375)
  /// How matrices are stored; default Q8_0.
  public var quantize = QuantizationPlan.uniform(.q8)
  /// How rounding is fitted to samples; without samples always to the nearest; default `nearest`.
  public var calibrate = Calibration.nearest
  /// From what parts are told important: what they give, or how the loss changes with them; default `activations`.
  public var importance = ImportanceSource.activations
  /// How many of the last samples importance and calibration are measured on, at most; default 512.
  public var activationSamples = 512
  /// The number of optimizer steps after pruning; none where nothing was pruned; default, nil: 300, or 5,000 for a fifth of
  /// the parameters and in proportion to the square of what has gone where that is more.
  public var recoverySteps: Int?
  /// The number of optimizer steps at the end in which the student computes with its rounded weights; what they learn is
  /// rounded to the nearest; default 0.
  public var quantizationAwareSteps = 0
  /// The learning rate of the first of these, which falls linearly; default 0.0001.
  public var quantizationAwareRate = 1e-4
  /// The number of samples in one of them; default 16.
  public var batchSize = 16
  /// The learning rate of the first of them, which falls linearly; default 0.0005.
  public var learningRate = 5e-4
  /// The learning rate of the last of them as a share of the first; default 0.02.
  public var finalRateShare = 0.02
  /// How much the parent's distribution counts in the loss, against the label; 0…1, default 0.8.
  public var klWeight = 0.8
  /// Which divergence from the parent: `forward`, KL(parent ‖ student), or `reverse`; default `forward`.
  public var klDirection = DistillationLoss.Direction.forward
  /// How many of the parent's likeliest tokens are kept apart, all others being one class; 0: all; default 0.
  public var klTop = 0
  /// The probability with which each swappable value is exchanged in a presentation; default 0.5.
  public var swapProbability = 0.5
  /// The longest prompt and answer together, in tokens; longer samples take no part; default 512. A release takes what training
  /// learned, where that is longer.
  public var maximumSequence = 512
  /// The seed of everything random; 0…2^53 − 1, default 0.
  public var seed = 0

  /// The policy with every default.
  public init() {}

  /// Lets a student that began as a pretrained model learn at no higher rate, after pruning and with rounded weights, than all its
  /// weights may by its recipe (``TrainingRecipe/rateForAllWeights``): at a higher one it forgets.
  public mutating func limitRates(by recipe: TrainingRecipe) {
    let rate = recipe.rateForAllWeights
    learningRate = min(learningRate, rate)
    quantizationAwareRate = min(quantizationAwareRate, rate)
  }

  /// The steps of recovery for a student that has been pruned.
  ///
  /// A SNIPS student of 84.4 % exact match without a fifth of its parameters was 2.1 points behind after 1,339 steps, none after 5,000.
  func recoverySteps(from parent: Student, to pruned: Student) -> Int {
    let gone = 1 - Double(pruned.layout.count) / Double(max(1, parent.layout.count))
    return recoverySteps ?? max(300, Int((125_000 * gone * gone).rounded()))
  }

  /// Whether weights move before they are rounded.
  var changesWeightsToRound: Bool {
    if case .bytes = quantize { return true }
    return quantizationAwareSteps > 0 || calibrate.scales
  }

  /// The SHA-256 of the canonical JSON of all settings, defaults included.
  public var digest: Digest { Digest.sha256(json.canonical) }

  /// The policy as JSON: every key, in order.
  public var json: JSON {
    var object = JSONObject()
    object[Self.recoveryKey] = recoverySteps.map { .integer(Int64($0)) } ?? "auto"
    for setting in Self.integers { object[setting.name] = .integer(Int64(self[keyPath: setting.path])) }
    for setting in Self.numbers { object[setting.name] = .number(self[keyPath: setting.path]) }
    for setting in Self.texts { object[setting.name] = .string(setting.get(self)) }
    return .object(object)
  }

  /// The keys that a policy may have.
  public static var keys: [String] {
    [recoveryKey] + integers.map(\.name) + numbers.map(\.name) + texts.map(\.name)
  }

  private static let recoveryKey = "recovery_steps"

  /// A policy from a JSON object; what it does not name keeps its default.
  ///
  /// - Throws: ``CompressionError`` `invalid_policy` for an unknown key, a wrong type or a value outside its range.
  public init(json: JSON) throws(CompressionError) {
    guard let object = json.objectValue else {
      throw Self.invalid("policy", "an object", json.typeName)
    }
    for (key, value) in object {
      if key == Self.recoveryKey {
        recoverySteps = try Self.recoverySteps(value)
      } else if let setting = Self.integers.first(where: { $0.name == key }) {
        guard let number = value.integerValue.flatMap({ Int(exactly: $0) }), setting.range.contains(number) else {
          throw Self.invalid(
            key, "a whole number in \(setting.range.lowerBound)…\(setting.range.upperBound)", value.text)
        }
        self[keyPath: setting.path] = number
      } else if let setting = Self.numbers.first(where: { $0.name == key }) {
        guard let number = value.doubleValue, setting.range.contains(number) else {
          throw Self.invalid(key, "a number in \(setting.range.lowerBound)…\(setting.range.upperBound)", value.text)
        }
        self[keyPath: setting.path] = number
      } else if let setting = Self.texts.first(where: { $0.name == key }) {
        guard let text = value.stringValue else { throw Self.invalid(key, "text", value.typeName) }
        try setting.set(&self, text)
      } else {
        throw CompressionError(
          .invalidPolicy, context: "policy", expected: "a known key", found: "\"\(key.prefix(64))\"",
          advice: "did you mean \"\(NearestName.of(key, among: Self.keys))\"?")
      }
    }
  }

  private static func recoverySteps(_ value: JSON) throws(CompressionError) -> Int? {
    if value == "auto" { return nil }
    guard let count = value.integerValue.flatMap({ Int(exactly: $0) }), (0...1_000_000).contains(count) else {
      throw invalid(recoveryKey, "auto, or a whole number in 0…1000000", value.text)
    }
    return count
  }

  private typealias Setting<Value: Comparable> = (
    name: String, path: WritableKeyPath<CompressionPolicy, Value>, range: ClosedRange<Value>
  )

  private static var integers: [Setting<Int>] {
    [
      ("activation_samples", \.activationSamples, 1...1_000_000),
      ("quantization_aware_steps", \.quantizationAwareSteps, 0...1_000_000),
      ("batch_size", \.batchSize, 1...4_096),
      ("maximum_sequence", \.maximumSequence, 16...32_768),
      ("kl_top", \.klTop, 0...DistillationLoss.topLimit),
      ("seed", \.seed, 0...((1 << 53) - 1)),
    ]
  }

  private static var numbers: [Setting<Double>] {
    [
      ("learning_rate", \.learningRate, 0...1),
      ("quantization_aware_rate", \.quantizationAwareRate, 0...1),
      ("final_rate_share", \.finalRateShare, 0...1),
      ("kl_weight", \.klWeight, 0...1),
      ("swap_probability", \.swapProbability, 0...1),
    ]
  }

  private struct TextSetting {
    let name: String
    let get: (CompressionPolicy) -> String
    let set: (inout CompressionPolicy, String) throws(CompressionError) -> Void
  }

  private static var texts: [TextSetting] {
    [
      TextSetting(name: "prune", get: \.prune.text) { (policy, text) throws(CompressionError) in
        policy.prune = try PruningPlan(text)
      },
      TextSetting(name: "quantize", get: \.quantize.text) { (policy, text) throws(CompressionError) in
        policy.quantize = try QuantizationPlan(text)
      },
      TextSetting(name: "calibrate", get: \.calibrate.rawValue) { (policy, text) throws(CompressionError) in
        guard let calibration = Calibration(rawValue: text) else {
          throw invalid("calibrate", "one of \(Calibration.allCases.map(\.rawValue).joined(separator: ", "))", text)
        }
        policy.calibrate = calibration
      },
      TextSetting(name: "importance", get: \.importance.rawValue) { (policy, text) throws(CompressionError) in
        guard let source = ImportanceSource(rawValue: text) else {
          throw invalid(
            "importance", "one of \(ImportanceSource.allCases.map(\.rawValue).joined(separator: ", "))", text)
        }
        policy.importance = source
      },
      TextSetting(name: "kl_direction", get: \.klDirection.rawValue) { (policy, text) throws(CompressionError) in
        guard let direction = DistillationLoss.Direction(rawValue: text) else {
          throw invalid("kl_direction", "forward or reverse", text)
        }
        policy.klDirection = direction
      },
    ]
  }

  private static func invalid(_ context: String, _ expected: String, _ found: String) -> CompressionError {
    CompressionError(
      .invalidPolicy, context: context, expected: expected, found: String(found.prefix(64)),
      advice: "correct the compression policy")
  }
}
