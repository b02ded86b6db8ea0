package import StudentModel
import Topics
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
  /// Samples are gone through in random order, each before any a second time, their values exchanged as in training. The
  /// result is a function of both students, the samples in order and the policy.
  ///
  /// - Throws: ``CompressionError`` `diverged`; what `progress` throws.
  package static func recover(
    _ student: Student, towards parent: Student, on samples: [TrainingSample], encoder: SampleEncoder,
    policy: CompressionPolicy, progress: ((StepReport) throws -> Void)? = nil
  ) throws -> Report? {
    let lessons = samples.filter { if case .success = encoder.encode($0) { $0.weight > 0 } else { false } }
    guard policy.recoverySteps > 0, !lessons.isEmpty else { return nil }
    var pool = ValuePool()
    for sample in lessons { pool.add(sample.call) }
    let recipe = recipe(of: policy)
    let schedule = LearningRateSchedule(recipe)
    let swap = SlotSwap(recipe: recipe, domain: .recoverySwap)
    let order = CounterRandom(seed: UInt64(policy.seed), .recovery)
    let optimizer = AdamW(layout: student.layout)
    var (pass, queue): (UInt64, [Int]) = (0, [])
    var reports: [LossReport] = []
    for step in 0..<policy.recoverySteps {
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
      let rate = schedule.decay(step: step, of: policy.recoverySteps, from: policy.learningRate)
      let report = try learn(student, parent, batch, rate, recipe, policy, optimizer)
      reports.append(report)
      try progress?(
        StepReport(
          isBranch: true, step: step + 1, steps: policy.recoverySteps, meanLoss: report.meanLoss,
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

  private static func learn(
    _ student: Student, _ parent: Student, _ batch: PackedBatch, _ rate: Double, _ recipe: TrainingRecipe,
    _ policy: CompressionPolicy, _ optimizer: AdamW
  ) throws -> LossReport {
    let report: LossReport
    if policy.klWeight > 0 {
      let logits = try parent.forward(batch)
      report = try logits.withUnsafeBufferPointer {
        try student.forwardBackward(batch, teacherLogits: $0, klWeight: Float(policy.klWeight))
      }
    } else {
      report = try student.forwardBackward(batch)
    }
    do throws(TrainingError) {
      try optimizer.apply(to: student, rate: rate, recipe: recipe)
    } catch {
      throw CompressionError(
        .diverged, context: "recovery, \(error.context)", expected: error.expected, found: error.found,
        advice: "lower the policy's learning_rate")
    }
    return report
  }

  private static func recipe(of policy: CompressionPolicy) -> TrainingRecipe {
    var recipe = TrainingRecipe()
    recipe.learningRate = policy.learningRate
    recipe.finalRateShare = policy.finalRateShare
    recipe.swapProbability = policy.swapProbability
    recipe.seed = policy.seed
    return recipe
  }
}
