public import ModelFiles
public import StudentModel
public import Topics

/// Every choice that decides what a student becomes, given the samples.
///
/// A recipe is a value with a digest; two trainings with the same base, samples, recipe and numerics version have the
/// same weights. As JSON it is one flat object whose keys are the snake-case names of the properties.
public struct TrainingRecipe: Sendable, Hashable {
  // The student, when it is trained from scratch: 2.35 M parameters by default.

  /// C, the width of the residual stream; default 192.
  public var hiddenSize = 192
  /// The number of transformer blocks; default 5.
  public var layerCount = 5
  /// The number of query heads; default 6.
  public var headCount = 6
  /// The number of key/value heads; default 2.
  public var keyValueHeadCount = 2
  /// The inner width of the feed-forward block, a multiple of 32; default 512.
  public var feedForwardSize = 512
  /// The base of the rotary frequencies; default 10,000.
  public var ropeTheta = 10_000.0
  /// The standard deviation of the initial embeddings; default 0.07.
  public var embeddingDeviation = 0.07
  /// The initial standard deviation of a linear map, times √fan-in; default 0.8.
  public var linearGain = 0.8

  /// The number of tokens of a tokenizer trained here, without those for the structure of calls; default 2,000.
  public var vocabularySize = 2_000
  /// How many of the most frequent first pieces of words also exist with the space before them; default 300.
  public var spaceFusedPieces = 300
  /// How many train samples the tokenizer is trained on (fewer when a cut comes first); default 2,000.
  public var tokenizerSamples = 2_000
  /// The longest prompt and answer together, in tokens; longer samples are skipped; default 512.
  public var maximumSequence = 512

  /// How many new train samples make a round; default 128.
  public var roundSize = 128
  /// How many earlier samples are presented again for each new one; default 11.
  public var replayPerSample = 11.0
  /// From how many candidates a replayed sample is the one presented least; 1 is a uniform draw; default 1.
  public var replayChoices = 1
  /// The number of samples in one optimizer step; default 16.
  public var batchSize = 16
  /// After how many train samples a release point comes by itself; default 4,000.
  public var releaseEvery = 4_000

  /// The trunk's learning rate after the warm-up; default 0.0012.
  public var learningRate = 1.2e-3
  /// The number of steps in which the rate rises linearly from 0; default 200.
  public var warmupSteps = 200
  /// AdamW's decoupled weight decay, not applied to norms and biases; default 0.05.
  public var weightDecay = 0.05
  /// AdamW's decay of the first moment; default 0.9.
  public var beta1 = 0.9
  /// AdamW's decay of the second moment; default 0.98.
  public var beta2 = 0.98
  /// AdamW's epsilon; default 1e-8.
  public var epsilon = 1e-8
  /// The largest norm of a gradient; default 1.
  public var clipNorm = 1.0
  /// The dropout probability; default 0.1.
  public var dropout = 0.1

  /// The operands of matrix products: `fp32` or `bf16`; default `fp32`. Another precision is another numerics version.
  public var precision = Precision.fp32
  /// How AdamW's moments are kept: `fp32`, `bf16` or `int8`; default `fp32`.
  public var optimizerState = OptimizerState.fp32
  /// What is clipped to ``clipNorm``: the whole gradient (`global`), or each tensor's by itself (`tensor`); default `global`.
  ///
  /// With `tensor` a gradient is consumed and released as soon as it is complete, so that the whole one is never in memory.
  public var clipScope = ClipScope.global
  /// In how many passes the samples of one step are processed, their gradients added; default 1.
  public var accumulationSteps = 1
  /// 1: a layer's activations are computed again in the backward pass instead of being kept (the same bits); default 0.
  public var recomputeActivations = 0

  /// The rank of low-rank adapters on a frozen bf16 base; 0 trains all weights; default 0. Needs `precision` `bf16` and
  /// `clip_scope` `global`. Adapters are merged into the weights when a branch is released.
  public var loraRank = 0
  /// The adapters' outputs count alpha / rank; default 16.
  public var loraAlpha = 16.0
  /// Which linear maps have adapters, names of `q k v o gate up down` with commas between; default all.
  public var loraTargets = AdapterSettings.Target.allCases.map(\.rawValue).joined(separator: ",")

  /// The probability with which each swappable value is exchanged in a presentation; default 0.5.
  public var swapProbability = 0.5
  /// The share of exchanges drawn uniformly over distinct values rather than by frequency; default 0.5.
  public var swapUniformShare = 0.5

  /// The number of steps of a branch, over which the rate falls linearly; default 800.
  public var decaySteps = 800
  /// The rate at the end of a branch as a share of the trunk's; default 0.02.
  public var finalRateShare = 0.02

  /// The seed of everything random; 0…2^53 − 1, default 0.
  public var seed = 0

  /// The gradient whose norm is clipped.
  public enum ClipScope: String, Sendable, Hashable, CaseIterable {
    case global, tensor
  }

  /// The adapters that the recipe asks for; nil where all weights learn.
  public var adapters: AdapterSettings? {
    guard loraRank > 0 else { return nil }
    return AdapterSettings(rank: loraRank, alpha: loraAlpha, targets: Set(loraTargetList ?? []))
  }

  /// The targets by name; nil if a name is unknown, doubled or missing.
  var loraTargetList: [AdapterSettings.Target]? {
    let names = loraTargets.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    let targets = names.compactMap(AdapterSettings.Target.init(rawValue:))
    return targets.count == names.count && Set(targets).count == names.count ? targets : nil
  }

  /// The name of the arithmetic that this recipe trains with.
  public var numerics: String { Numerics.version(precision) }

  /// The recipe with every default.
  public init() {}

  /// The configuration of a student from scratch with `vocabularySize` tokens.
  public func configuration(vocabularySize: Int) -> DecoderConfiguration {
    DecoderConfiguration(
      vocabularySize: vocabularySize, hiddenSize: hiddenSize, layerCount: layerCount, headCount: headCount,
      keyValueHeadCount: keyValueHeadCount, feedForwardSize: feedForwardSize, maximumPositions: maximumSequence,
      ropeTheta: ropeTheta)
  }

  /// The SHA-256 of the canonical JSON of all knobs, defaults included.
  public var digest: Digest { Digest.sha256(json.canonical) }
}
