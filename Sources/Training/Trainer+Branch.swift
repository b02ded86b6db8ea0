import StudentModel
import Topics

extension Trainer {
  /// A copy of the trunk, trained on while the rate falls linearly, on presentations of everything learned so far in
  /// random order. The trunk stays as it is.
  ///
  /// - Parameter steps: The number of steps; `nil` for the recipe's `decay_steps`.
  /// - Throws: ``TrainingError`` `not_ready` before the first round, `diverged`; what ``progress`` throws.
  public func branch(steps: Int? = nil) throws -> StudentBranch {
    guard let trunk, state.round > 0 else { throw Self.notStarted }
    let count = memory.learned.isEmpty ? 0 : max(0, steps ?? recipe.decaySteps)
    let copy = trunk.copy()
    let order = plan.branchOrder(
      round: state.round, learned: memory.learned.count, count: count * recipe.batchSize)
    let swap = SlotSwap(recipe: recipe, domain: .branchSwap)
    let dropout = CounterRandom(seed: UInt64(recipe.seed), .branchDropout)
    let schedule = LearningRateSchedule(recipe)
    let start = schedule.trunk(step: trunk.optimizer.step)
    var last = LossReport()
    for step in 0..<count {
      let range = step * recipe.batchSize..<(step + 1) * recipe.batchSize
      var position = UInt64(state.round) << 32 | UInt64(range.lowerBound)
      let batch = present(Array(order[range]), swap: swap, trunk: copy) { _ in
        position += 1
        return position
      }
      let rate = schedule.decay(step: step, of: count, from: start)
      let report = try copy.learn(batch, rate: rate, recipe: recipe, dropout: dropout)
      if step >= count - max(1, count / 10) { last = last + report }
      try progress?(
        StepReport(
          isBranch: true, step: step + 1, steps: count, meanLoss: report.meanLoss, tokens: batch.rowCount, rate: rate))
    }
    copy.student.releaseBuffers()
    return StudentBranch(
      student: copy.student.merged(), tokenizer: copy.tokenizer, steps: count, finalLoss: last.meanLoss)
  }
}
