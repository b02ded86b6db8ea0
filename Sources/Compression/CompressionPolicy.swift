public import Topics
import Training

/// How a student is compressed: what is pruned, how it recovers, how its weights are stored.
///
/// As JSON it is one flat object whose keys are the snake-case names of the properties.
public struct CompressionPolicy: Sendable, Hashable {
  /// How matrices are stored; norms and biases are always F32.
  public enum WeightType: String, Sendable, Hashable, CaseIterable {
    /// Blocks of 32 signed bytes with a half-precision scale.
    case q8 = "q8_0"
    /// Blocks of 256 six-bit numbers with sixteen scales and a half-precision one.
    case q6 = "q6_k"
    /// Blocks of 32 four-bit numbers with a half-precision scale.
    case q4 = "q4_0"
    /// Half precision.
    case f16
    /// bfloat16.
    case bf16
    /// Single precision.
    case f32
  }

  /// The share of feed-forward neurons that stay, in 0…1, rounded to a multiple of 32 neurons; default 0.9375.
  public var feedForwardKeep = 0.9375
  /// How matrices are stored; default Q8_0.
  public var quantize = WeightType.q8
  /// How many of the last samples the importance of neurons is measured on, at most; default 512.
  public var activationSamples = 512
  /// The number of optimizer steps after pruning; none where nothing was pruned; default 300.
  public var recoverySteps = 300
  /// The number of samples in one of them; default 16.
  public var batchSize = 16
  /// The learning rate of the first of them, which falls linearly; default 0.0005.
  public var learningRate = 5e-4
  /// The learning rate of the last of them as a share of the first; default 0.02.
  public var finalRateShare = 0.02
  /// How much the parent's distribution counts in the loss, against the label; 0…1, default 0.8.
  public var klWeight = 0.8
  /// The probability with which each swappable value is exchanged in a presentation; default 0.5.
  public var swapProbability = 0.5
  /// The longest prompt and answer together, in tokens; longer samples take no part; default 512.
  public var maximumSequence = 512
  /// The seed of everything random; 0…2^53 − 1, default 0.
  public var seed = 0

  /// The policy with every default.
  public init() {}

  /// The number of neurons that stay of `size`: the share rounded to a multiple of 32, at least 32; `size` for 1.
  public func keptNeurons(of size: Int) -> Int {
    guard feedForwardKeep < 1 else { return size }
    let kept = Int((Double(size) * feedForwardKeep / 32).rounded()) * 32
    return min(size, max(32, kept))
  }

  /// The SHA-256 of the canonical JSON of all settings, defaults included.
  public var digest: Digest { Digest.sha256(json.canonical) }

  /// The policy as JSON: every key, in order.
  public var json: JSON {
    var object = JSONObject()
    for setting in Self.integers { object[setting.name] = .integer(Int64(self[keyPath: setting.path])) }
    for setting in Self.numbers { object[setting.name] = .number(self[keyPath: setting.path]) }
    object["quantize"] = .string(quantize.rawValue)
    return .object(object)
  }

  /// The keys that a policy may have.
  public static var keys: [String] { integers.map(\.name) + numbers.map(\.name) + ["quantize"] }

  /// A policy from a JSON object; what it does not name keeps its default.
  ///
  /// - Throws: ``CompressionError`` `invalid_policy` for an unknown key, a wrong type or a value outside its range.
  public init(json: JSON) throws(CompressionError) {
    guard let object = json.objectValue else {
      throw Self.invalid("policy", "an object", json.typeName)
    }
    for (key, value) in object {
      if let setting = Self.integers.first(where: { $0.name == key }) {
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
      } else if key == "quantize" {
        guard let type = value.stringValue.flatMap({ WeightType(rawValue: $0) }) else {
          throw Self.invalid(key, "one of \(WeightType.allCases.map(\.rawValue).joined(separator: ", "))", value.text)
        }
        quantize = type
      } else {
        throw CompressionError(
          .invalidPolicy, context: "policy", expected: "a known key", found: "\"\(key.prefix(64))\"",
          advice: "did you mean \"\(NearestName.of(key, among: Self.keys))\"?")
      }
    }
  }

  private typealias Setting<Value: Comparable> = (
    name: String, path: WritableKeyPath<CompressionPolicy, Value>, range: ClosedRange<Value>
  )

  private static var integers: [Setting<Int>] {
    [
      ("activation_samples", \.activationSamples, 1...1_000_000),
      ("recovery_steps", \.recoverySteps, 0...1_000_000),
      ("batch_size", \.batchSize, 1...4_096),
      ("maximum_sequence", \.maximumSequence, 16...32_768),
      ("seed", \.seed, 0...((1 << 53) - 1)),
    ]
  }

  private static var numbers: [Setting<Double>] {
    [
      ("feed_forward_keep", \.feedForwardKeep, 0.01...1),
      ("learning_rate", \.learningRate, 0...1),
      ("final_rate_share", \.finalRateShare, 0...1),
      ("kl_weight", \.klWeight, 0...1),
      ("swap_probability", \.swapProbability, 0...1),
    ]
  }

  private static func invalid(_ context: String, _ expected: String, _ found: String) -> CompressionError {
    CompressionError(
      .invalidPolicy, context: context, expected: expected, found: String(found.prefix(64)),
      advice: "correct the compression policy")
  }
}
