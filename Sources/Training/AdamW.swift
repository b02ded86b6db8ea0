import CKernels
package import StudentModel

/// AdamW with clipping over what a student learns: the two moments and the step count.
///
/// Reference: Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2; clipping by norm as Pascanu et al. 2013,
/// arXiv 1211.5063, section 3.2.
package final class AdamW {
  /// The number of steps taken.
  package private(set) var step: Int
  /// The moving averages of gradients and of squared gradients.
  let first: MomentBuffer
  let second: MomentBuffer
  private let layout: ParameterLayout
  private let blockStarts: [Int]
  private var scratch: [Double]

  /// An optimizer of a student with that layout; moments start at 0.
  package init(layout: ParameterLayout, step: Int = 0, state: OptimizerState = .fp32) {
    self.step = step
    self.layout = layout
    first = MomentBuffer(layout, state)
    second = MomentBuffer(layout, state)
    blockStarts = MomentBuffer.blocks(layout).starts
    scratch = [Double](repeating: 0, count: Int(retort_squared_norm_scratch(layout.count)))
  }

  /// A second optimizer in the same state.
  package func copy(layout: ParameterLayout) -> AdamW {
    let other = AdamW(layout: layout, step: step, state: first.storage)
    other.first.bytes.copyMemory(from: UnsafeRawBufferPointer(first.bytes))
    other.second.bytes.copyMemory(from: UnsafeRawBufferPointer(second.bytes))
    return other
  }

  /// One step along the student's gradient, or another's of the same layout, clipped by its norm.
  ///
  /// - Returns: the norm of the gradient before clipping.
  /// - Throws: ``TrainingError`` `diverged` where the norm is not finite; nothing has changed then.
  @discardableResult
  package func apply(
    to student: Student, gradientOf source: Student? = nil, rate: Double, recipe: TrainingRecipe
  ) throws(TrainingError) -> Double {
    guard let gradients = (source ?? student).gradients.baseAddress, let parameters = student.parameters.baseAddress
    else { return 0 }
    let norm = retort_squared_norm(layout.count, gradients, &scratch).squareRoot()
    guard norm.isFinite else { throw diverged(norm, step: step + 1) }
    step += 1
    let settings = constants(rate: rate, recipe: recipe, norm: norm)
    if first.storage == .fp32 {
      let ranges = layout.decayRanges.map {
        retort_range(start: $0.range.lowerBound, count: $0.range.count, decays: $0.decays ? 1 : 0)
      }
      retort_adamw(ranges, ranges.count, parameters, gradients, first.floats, second.floats, settings)
    } else {
      for (index, entry) in layout.entries.enumerated() {
        update(entry, index: index, parameters, gradients + entry.offset, settings)
      }
    }
    return norm
  }

  /// One step on a batch, as the recipe says: in one pass or several, with whole gradients or with each released when it is used.
  ///
  /// - Parameters:
  ///   - student: what learns.
  ///   - batch: the step's samples.
  ///   - rate: the learning rate.
  ///   - recipe: everything else.
  ///   - target: what takes the step along the student's gradient; nil for the student itself.
  ///   - teacher: logits of a batch's target rows, where the student also learns from them, as the recipe says.
  ///   - mask: the dropout of a pass, counted over all steps; nil for none.
  /// - Throws: ``TrainingError`` `diverged`; the student's error for a batch that does not fit it.
  package func learn(
    _ student: Student, _ batch: PackedBatch, rate: Double, recipe: TrainingRecipe, updating target: Student? = nil,
    teacher: ((PackedBatch) throws -> [Float])? = nil, mask: (UInt64) -> Dropout?
  ) throws -> LossReport {
    let number = step
    guard recipe.clipScope == .global else {
      let report = try learnReleasing(
        batch, student, updating: target ?? student, rate: rate, recipe: recipe, dropout: mask(UInt64(number)))
      return try Self.finite(report, step: number)
    }
    let parts = batch.split(into: recipe.accumulationSteps)
    var report = LossReport()
    for (index, part) in parts.enumerated() {
      let pass = UInt64(number) &* UInt64(recipe.accumulationSteps) &+ UInt64(index)
      let normalizer = parts.count > 1 ? Float(batch.targetWeight) : nil
      let one: LossReport
      if let teacher {
        one = try teacher(part).withUnsafeBufferPointer {
          try student.forwardBackward(
            part, teacherLogits: $0, klWeight: Float(recipe.distillWeight), loss: recipe.distillLoss,
            dropout: mask(pass), accumulate: index > 0, normalizer: normalizer)
        }
      } else {
        one = try student.forwardBackward(part, dropout: mask(pass), accumulate: index > 0, normalizer: normalizer)
      }
      report = report + (try Self.finite(one, step: number))
    }
    try apply(to: target ?? student, gradientOf: student, rate: rate, recipe: recipe)
    return report
  }

  private static func finite(_ report: LossReport, step: Int) throws(TrainingError) -> LossReport {
    guard report.lossSum.isFinite else {
      throw TrainingError(
        .diverged, context: "step \(step + 1)", expected: "a finite loss", found: "\(report.lossSum)",
        advice: lowerRate)
    }
    return report
  }

  private static let lowerRate =
    "lower learning_rate (in a release's phases distill_rate, rft_rate or rl_rate) and start over with `retort train --anew`"

  /// One step along the gradient of a batch, each tensor clipped by its own norm and updated as soon as its gradient is complete,
  /// so that the whole gradient never exists. Where a norm is not finite, tensors handed over before have changed.
  private func learnReleasing(
    _ batch: PackedBatch, _ student: Student, updating target: Student, rate: Double, recipe: TrainingRecipe,
    dropout: Dropout?
  ) throws -> LossReport {
    guard let parameters = target.parameters.baseAddress else { return LossReport() }
    step += 1
    var failure: Double?
    let report = try student.forwardBackward(batch, dropout: dropout) { range, gradient in
      for (index, entry) in self.layout.entries.enumerated() where range.contains(entry.offset) {
        let part = gradient + (entry.offset - range.lowerBound)
        let norm = retort_squared_norm(entry.count, part, &self.scratch).squareRoot()
        guard norm.isFinite, failure == nil else {
          failure = failure ?? norm
          return
        }
        self.update(
          entry, index: index, parameters, part, self.constants(rate: rate, recipe: recipe, norm: norm))
      }
    }
    if let failure { throw diverged(failure, step: step) }
    return report
  }

  private func update(
    _ entry: ParameterLayout.Entry, index: Int, _ parameters: UnsafeMutablePointer<Float>,
    _ gradient: UnsafePointer<Float>, _ settings: retort_adamw_settings
  ) {
    let target = parameters + entry.offset
    if let m = first.floats, let v = second.floats, first.storage == .fp32 {
      var range = retort_range(start: 0, count: entry.count, decays: entry.decays ? 1 : 0)
      retort_adamw(&range, 1, target, gradient, m + entry.offset, v + entry.offset, settings)
      return
    }
    let block = blockStarts[index]
    retort_adamw_stored(
      first.storage == .bf16 ? RETORT_MOMENT_BF16 : RETORT_MOMENT_BYTE, entry.count, entry.decays ? 1 : 0, target,
      gradient, first.part(offset: entry.offset, firstBlock: block),
      second.part(offset: entry.offset, firstBlock: block), settings, entry.offset)
  }

  private func constants(rate: Double, recipe: TrainingRecipe, norm: Double) -> retort_adamw_settings {
    retort_adamw_settings(
      learning_rate: rate, beta1: recipe.beta1, beta2: recipe.beta2, epsilon: recipe.epsilon,
      weight_decay: recipe.weightDecay, gradient_scale: norm > recipe.clipNorm ? recipe.clipNorm / norm : 1,
      step: Int64(step))
  }

  private func diverged(_ norm: Double, step: Int) -> TrainingError {
    TrainingError(
      .diverged, context: "step \(step)", expected: "a finite gradient", found: "\(norm)",
      advice: Self.lowerRate)
  }
}
