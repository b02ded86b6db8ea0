public import ModelFiles
public import StudentModel
public import Topics

/// Every choice that decides what a student becomes, given the samples.
///
/// A recipe is a value with a digest; two trainings with the same base, samples, recipe and numerics version have the
/// same weights. As JSON it is one flat object whose keys are the snake-case names of the properties.
public struct TrainingRecipe: Sendable, Hashable {
  // The student, when it is trained from scratch: 2.7 M parameters by default.

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

  /// The number of tokens of a tokenizer trained here, without those for the structure of calls; default 4,000.
  public var vocabularySize = 4_000
  /// How many of the most frequent first pieces of words also exist with the space before them; default 300.
  public var spaceFusedPieces = 300
  /// How many train samples the tokenizer is trained on (fewer when a cut comes first); default 8,000.
  public var tokenizerSamples = 8_000
  /// The longest prompt and answer together, in tokens; longer samples are skipped; default 512.
  public var maximumSequence = 512

  /// How many new train samples make a round; default 128.
  public var roundSize = 128
  /// How many earlier samples are presented again for each new one; default 15.
  public var replayPerSample = 15.0
  /// From how many candidates a replayed sample is the one presented least; 1 is a uniform draw; default 1.
  public var replayChoices = 1
  /// The share of replay draws that draw a function first and then one of its samples, so that each function is replayed
  /// as often as every other; 0 draws all samples alike; default 0.
  public var replayBalance = 0.0
  /// The number of samples in one optimizer step; default 16.
  public var batchSize = 16
  /// After how many train samples a release point comes by itself, once all that waits in whole rounds is learned; default 4,000.
  public var releaseEvery = 4_000

  /// At most about the probability, in 1,000 samples, of a false alarm of the drift detector, which watches how well audited
  /// samples are predicted before they are learned; 0 watches nothing and hears nothing of the label stage's watch; default 0.002.
  public var driftConfidence = 0.002
  /// For how many train samples after an alarm the traffic counts as drifting; default 1,000.
  public var driftSamples = 1_000
  /// While it drifts, release points come after this share of `release_every`; default 0.25.
  public var driftReleaseShare = 0.25

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

  /// How much a token of the request counts in the loss against one of the answer: 0 learns answers alone; default 0.2.
  ///
  /// Reference: Shi et al. 2024, "Instruction tuning with loss over instructions", arXiv 2405.14394 (a share of 1).
  public var promptLossShare = 0.2

  /// The operands of matrix products: `fp32` or `bf16`; default `fp32`. Another precision is another numerics version.
  public var precision = Precision.fp32
  /// How AdamW's moments are kept: `fp32`, `bf16` or `int8`; default `fp32`.
  public var optimizerState = OptimizerState.fp32
  /// What is clipped to ``clipNorm``: the whole gradient (`global`), or each tensor's by itself (`tensor`); default `global`.
  ///
  /// With `tensor` a gradient is consumed and released as soon as it is complete, so that the whole one is never in memory.
  /// Reinforcement learning keeps and clips the whole one either way.
  public var clipScope = ClipScope.global
  /// In how many passes the samples of one step are processed, their gradients added; default 1.
  public var accumulationSteps = 1
  /// 1: a layer's activations are computed again in the backward pass instead of being kept (the same bits); default 0.
  public var recomputeActivations = 0
  /// 1: rows with which several samples of a pass begin (a chat template's head, a system message) are computed once for all of
  /// them: the same mathematics, but other bits; default 0.
  public var sharePrefixes = 0

  /// The rank of low-rank adapters on a frozen bf16 base; 0 trains all weights; default 0. Needs `precision` `bf16` and
  /// `clip_scope` `global`. Adapters are merged into the weights when a branch is released.
  public var loraRank = 0
  /// The adapters' outputs count alpha / rank; default 16.
  public var loraAlpha = 16.0
  /// Which linear maps have adapters, names of `q k v o gate up down` with commas between; default all.
  public var loraTargets = AdapterSettings.Target.allCases.map(\.rawValue).joined(separator: ",")

  /// How many steps of generated lessons the layers of a student from scratch learn before its first sample; 0 for none; default
  /// 1,000. See ``PretrainedBody``.
  public var baseSteps = 1_000
  /// With how many train samples at most a student from scratch begins on such layers; with more it begins on random ones. Default 6,000.
  public var baseUntil = 6_000
  /// How much of what these layers learned a student begins with: its weights are so much of theirs, and random ones for the rest;
  /// 0…1, default 0.5.
  ///
  /// Reference: Ash and Adams 2020, "On warm-starting neural network training", arXiv 1910.08475 (shrink and perturb).
  public var baseShare = 0.5
  /// The lessons in one of these steps; default 12.
  public var baseBatchSize = 12
  /// The learning rate of these steps after the warm-up; it falls over the last quarter. Default 0.002.
  public var baseLearningRate = 2e-3

  /// The probability with which each swappable value is exchanged in a presentation; default 0.7.
  public var swapProbability = 0.7
  /// The share of exchanges drawn uniformly over distinct values rather than by frequency; default 0.5.
  public var swapUniformShare = 0.5
  /// How often an exchanged value is invented, as a multiple of how likely its slot's next value is one never seen; default 1.
  public var swapInventedShare = 1.0
  /// With how many learned samples that multiple begins to fall, in inverse proportion to their number; default 2,000.
  public var swapInventedUntil = 2_000

  /// The most steps of a branch in which the rate falls linearly: half as many as the trunk has taken, but no fewer than
  /// 1,500; default 6,000.
  public var decaySteps = 6_000
  /// The fewest steps behind a candidate, those of lessons and the trunk's included, however few samples there are: what is
  /// missing a branch takes at the trunk's rate before the rate falls; default 3,000.
  public var candidateSteps = 3_000
  /// The rate at the end of a branch as a share of the trunk's; default 0.02.
  public var finalRateShare = 0.02

  /// The steps in which the rate of a branch falls, where the trunk has taken so many.
  package func decaySteps(after taken: Int) -> Int { min(decaySteps, max(1_500, taken / 2)) }

  // What a branch does besides: all off by default.

  /// The teacher that a branch's steps also learn from, by the SHA-256 of its weights, sizes and tokenizer; or `samples`: all steps also
  /// learn from the log-probabilities that samples bring along, where their tokens are the answer's. Empty, the default: none.
  public var distillTeacher = ""
  /// How much the divergence from the teacher counts in the loss, against the label; 0…1, default 0.5. Of `samples`, in the rows
  /// of tokens whose log-probabilities are known.
  public var distillWeight = 0.5
  /// Which divergence: `forward`, KL(teacher ‖ student), or `reverse`; default `forward`.
  public var distillDirection = DistillationLoss.Direction.forward
  /// How many of the teacher's likeliest tokens are kept apart, all others being one class; 0: all (of `samples`, all that were
  /// logged); default 0.
  public var distillTop = 0

  /// The number of steps, once the rate has fallen, in which the student learns from the teacher on answers of its own; needs a
  /// teacher in ``distillTeacher`` whose weights are here; default 0.
  public var distillSteps = 0
  /// How many requests are answered for one of them; default 16.
  public var distillRequests = 16
  /// The learning rate of the first of them, which falls linearly; default 0.0001.
  public var distillRate = 1e-4

  /// How many answers are sampled to a request, by rejection sampling and by reinforcement learning; default 8.
  public var sampleCount = 8
  /// The temperature at which rejection sampling draws; reinforcement learning draws from the student itself; default 1.
  public var sampleTemperature = 1.0
  /// Who says what an answer is worth: the label (`label`), or, where the sample bears a judgement of that very call, that of
  /// production or the verifier (`recorded`), and the label of all other calls; default `label`.
  public var sampleJudge = Judge.label
  /// The number of steps on accepted answers of the student's own, after the rate has fallen; default 0.
  public var rftSteps = 0
  /// How many requests are answered for them; default 512.
  public var rftRequests = 512
  /// The learning rate of the first of these steps, which falls linearly; default 0.0003.
  public var rftRate = 3e-4

  /// The number of steps of reinforcement learning at the end; default 0.
  public var rlSteps = 0
  /// How many requests are answered in one of them; default 16.
  public var rlRequests = 16
  /// The learning rate of the first of them, which falls linearly; default 0.0001.
  public var rlRate = 1e-4
  /// How often a step's answers are learned from before others are sampled; default 1.
  public var rlUpdates = 1
  /// How far a token's probability may fall below what it was, as a share, before it no longer counts; default 0.2.
  public var rlClipLow = 0.2
  /// How far it may rise; default 0.28.
  public var rlClipHigh = 0.28
  /// How much KL(student ‖ student before) counts in the loss; 0…1, default 0.02.
  public var rlKL = 0.02
  /// What an answer's advantage is: its reward less its group's mean (`centered`), or that over the group's standard
  /// deviation (`normalized`); default `centered`.
  public var rlAdvantage = Advantage.centered

  /// The seed of everything random; 0…2^53 − 1, default 0.
  public var seed = 0

  /// How rewards of a group become advantages.
  public enum Advantage: String, Sendable, Hashable, CaseIterable {
    case centered, normalized
  }

  /// Who says what a sampled answer is worth.
  public enum Judge: String, Sendable, Hashable, CaseIterable {
    case label, recorded
  }

  /// What ``distillTeacher`` is where samples bring the teacher's log-probabilities.
  public static let samples = "samples"

  /// Whether samples' log-probabilities are learned from.
  public var distillsSamples: Bool { distillTeacher == Self.samples }

  /// The digest of the model that ``distillTeacher`` names; nil where it names none.
  public var teacherDigest: String? { distillTeacher.isEmpty || distillsSamples ? nil : distillTeacher }

  /// The divergence from the teacher.
  var distillLoss: DistillationLoss { DistillationLoss(distillDirection, top: distillTop) }

  /// The gradient whose norm is clipped.
  public enum ClipScope: String, Sendable, Hashable, CaseIterable {
    case global, tensor
  }

  /// The learning rate of a pretrained model, all of whose weights learn, where nothing else is said; adapters, which begin at zero,
  /// take ten times as much. At the rate of a student from scratch such a model forgets what it knows.
  public static let pretrainedRate = 2e-5

  /// The highest rate for all weights at once of a student that began as a pretrained model: its own, of adapters a tenth.
  public var rateForAllWeights: Double { adapters == nil ? learningRate : learningRate / 10 }

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

  /// How the weights of a student from scratch begin.
  var initialization: Initialization {
    Initialization(embeddingDeviation: embeddingDeviation, linearGain: linearGain)
  }

  /// The SHA-256 of the canonical JSON of all keys, defaults included but for those of keys that came later.
  public var digest: Digest { Digest.sha256(recorded.canonical) }
}

extension Student {
  /// Sets how passes are computed, as a recipe says.
  func follow(_ recipe: TrainingRecipe) {
    recomputesActivations = recipe.recomputeActivations == 1
    sharesPrefixes = recipe.sharePrefixes == 1
  }
}
