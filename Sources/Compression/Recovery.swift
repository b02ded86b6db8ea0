package import ModelFiles
package import StudentModel
import Topics
import Tokenization
package import Training

/// A short fine-tune of a pruned student: on the labels, and towards the distribution of the student that it was.
///
/// Reference: Muralidharan et al. 2024, "Compact language models via pruning and knowledge distillation", arXiv 2407.14679
/// (retraining after pruning by distillation from the unpruned model); Hinton et al. 2015, arXiv 1503.02531.
public enum Recovery {
  /// What a recovery did.
  public struct Report: Sendable, Hashable {
    /// The optimizer steps taken.
    public let steps: Int
    /// The mean cross-entropy of a target token over the first tenth of the steps, in nats.
    public let firstLoss: Double
    /// The same over the last tenth.
    public let finalLoss: Double
    /// The mean divergence from the parent over the last tenth of the steps, in nats.
    public let finalDivergence: Double
  }

  /// Trains `student` in place; `nil` where there is nothing to do (no steps, or no sample that can be encoded).
  ///
  /// With `stored`, the student computes with its weights rounded to these formats while the gradient moves the unrounded
  /// ones (the straight-through estimator), so that it learns to live with the rounding.
  /// Reference: Bengio et al. 2013, arXiv 1308.3432; Jacob et al. 2017, arXiv 1712.05877, section 3.
  ///
  /// Samples are gone through in random order, each before any a second time, their values exchanged as in training. The
  /// result is a function of both students, the samples in order, the policy and what saves memory in training: moments are kept
  /// and steps cut into passes as there, where samples may have more than 512 tokens into passes of no more samples than there.
  ///
  /// - Throws: ``CompressionError`` `diverged`; what `progress` throws.
  package static func recover(
    _ student: Student, towards parent: Student, on samples: [TrainingSample], encoder: SampleEncoder,
    policy: CompressionPolicy, training: TrainingRecipe = TrainingRecipe(),
    stored: ((ParameterLayout.Entry) -> ElementType)? = nil,
    progress: ((StepReport) throws -> Void)? = nil
  ) throws -> Report? {
    let lessons = samples.filter { if case .success = encoder.encode($0) { $0.weight > 0 } else { false } }
    let (steps, firstRate) =
      stored == nil
      ? (policy.recoverySteps(from: parent, to: student), policy.learningRate)
      : (policy.quantizationAwareSteps, policy.quantizationAwareRate)
    guard steps > 0, !lessons.isEmpty else { return nil }
    var pool = ValuePool()
    for sample in lessons { pool.add(sample.call) }
    let recipe = recipe(of: policy, training)
    let schedule = LearningRateSchedule(recipe)
    let swap = SlotSwap(
      recipe: recipe, functions: encoder.codec.functions, domain: .recoverySwap, learned: lessons.count)
    let order = CounterRandom(seed: UInt64(policy.seed), .recovery)
    let optimizer = AdamW(layout: student.layout, state: recipe.optimizerState)
    let shadow = stored.map { Shadow(student: student.copy(), elementType: $0) }
    var (pass, queue): (UInt64, [Int]) = (0, [])
    var reports: [LossReport] = []
    for step in 0..<steps {
      var batch = PackedBatch()
      for slot in 0..<policy.batchSize {
        if queue.isEmpty {
          queue = order.permutation(of: lessons.count, pass)
          pass += 1
        }
        let sample = lessons[queue.removeLast()]
        let (messages, call) = swap.apply(
          sample, presentation: UInt64(step * policy.batchSize + slot), pool: pool)
        if case .success(let encoded) = encoder.encode(messages, call) {
          batch.append(prompt: encoded.prompt, completion: encoded.answer, weight: Float(sample.weight))
        } else if case .success(let encoded) = encoder.encode(sample) {
          batch.append(prompt: encoded.prompt, completion: encoded.answer, weight: Float(sample.weight))
        }
      }
      let rate = schedule.decay(step: step, of: steps, from: firstRate)
      let report = try learn(student, shadow, parent, batch, rate, recipe, policy, optimizer)
      reports.append(report)
      try progress?(
        StepReport(
          phase: .recovery, step: step + 1, steps: steps, meanLoss: report.meanLoss,
          tokens: batch.rowCount, rate: rate))
    }
    student.releaseBuffers()
    let part = max(1, reports.count / 10)
    let first = reports.prefix(part).reduce(LossReport(), +)
    let last = reports.suffix(part).reduce(LossReport(), +)
    return Report(
      steps: reports.count, firstLoss: first.crossEntropySum / max(first.weightSum, 1e-30),
      finalLoss: last.crossEntropySum / max(last.weightSum, 1e-30),
      finalDivergence: last.divergenceSum / max(last.weightSum, 1e-30))
  }

  /// A copy of the student that computes with rounded weights.
  private struct Shadow {
    let student: Student
    let elementType: (ParameterLayout.Entry) -> ElementType

    /// Takes the weights of another student, rounded.
    func follow(_ other: Student) throws(ModelFileError) {
      _ = student.parameters.update(from: UnsafeBufferPointer(other.parameters))
      for entry in student.layout.entries { try Quantizer.round(student.parameters(entry), to: elementType(entry)) }
    }
  }

  private static func learn(
    _ student: Student, _ shadow: Shadow?, _ parent: Student, _ batch: PackedBatch, _ rate: Double,
    _ recipe: TrainingRecipe, _ policy: CompressionPolicy, _ optimizer: AdamW
  ) throws -> LossReport {
    try shadow?.follow(student)
    do {
      return try optimizer.learn(
        shadow?.student ?? student, batch, rate: rate, recipe: recipe, updating: student,
        teacher: policy.klWeight > 0 ? { try parent.forward($0) } : nil
      ) { _ in nil }
    } catch let error as TrainingError {
      throw CompressionError(
        .diverged, context: "recovery, \(error.context)", expected: error.expected, found: error.found,
        advice: shadow == nil
          ? "prune less, or nothing (release.prune, or --prune)"
          : "take no such steps (release.quantization_aware_steps, or --quantization-aware)")
    }
  }

  private static func recipe(of policy: CompressionPolicy, _ training: TrainingRecipe) -> TrainingRecipe {
    var recipe = TrainingRecipe()
    (recipe.optimizerState, recipe.accumulationSteps) = (training.optimizerState, training.accumulationSteps)
    // Long samples are no more at once than there were in training.
    if policy.maximumSequence > CompressionPolicy().maximumSequence {
      let samples = policy.batchSize * training.accumulationSteps
      recipe.accumulationSteps = max(recipe.accumulationSteps, (samples - 1) / max(1, training.batchSize) + 1)
    }
    (recipe.distillWeight, recipe.distillDirection, recipe.distillTop) = (
      policy.klWeight, policy.klDirection, policy.klTop
    )
    recipe.learningRate = policy.learningRate
    recipe.finalRateShare = policy.finalRateShare
    recipe.swapProbability = policy.swapProbability
    recipe.swapInventedShare = 0
    recipe.seed = policy.seed
    return recipe
  }
}
