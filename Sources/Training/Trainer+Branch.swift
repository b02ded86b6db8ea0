import ModelFiles
import StudentModel
import Topics

extension Trainer {
  /// A copy of the trunk, trained on while the rate falls linearly, on presentations of everything learned so far in
  /// random order; then what else the recipe asks for: steps on what the teacher thinks of its answers, steps on accepted
  /// answers of its own, and reinforcement learning.
  /// The trunk stays as it is.
  ///
  /// Where the trunk has taken few steps, lessons included, the branch first takes those that the recipe's `candidate_steps` ask
  /// for, at the trunk's rate: what a candidate costs is not tied to how many samples have arrived.
  ///
  /// - Parameters:
  ///   - steps: The number of steps in which the rate falls; `nil` for what the recipe's `decay_steps` gives.
  ///   - teacher: The model that the recipe's `distill_teacher` names.
  /// - Throws: ``TrainingError`` `not_ready` before the first round, `diverged`, `invalid_base` for a teacher that is
  ///   missing, another, of another tokenizer, or of shorter sequences; what ``progress`` throws.
  public func branch(steps: Int? = nil, teacher: DistillationTeacher? = nil) throws -> StudentBranch {
    guard let trunk, state.round > 0 else { throw Self.notStarted }
    let teacher = try check(teacher, trunk)
    let taken = trunk.optimizer.step
    let fall = memory.learned.isEmpty ? 0 : max(0, steps ?? recipe.decaySteps(after: taken))
    let level = memory.learned.isEmpty ? 0 : max(0, recipe.candidateSteps - state.lessons - taken - fall)
    let count = level + fall
    let copy = trunk.copy()
    let order = plan.branchOrder(
      round: state.round, learned: memory.learned.count, count: count * recipe.batchSize)
    let swap = SlotSwap(recipe: recipe, functions: functions, domain: .branchSwap, learned: memory.learned.count)
    let dropout = CounterRandom(seed: UInt64(recipe.seed), .branchDropout)
    let schedule = LearningRateSchedule(recipe)
    var last = LossReport()
    for step in 0..<count {
      let range = step * recipe.batchSize..<(step + 1) * recipe.batchSize
      var position = UInt64(state.round) << 32 | UInt64(range.lowerBound)
      let batch = present(Array(order[range]), swap: swap, trunk: copy) { _ in
        position += 1
        return position
      }
      let rate =
        step < level
        ? schedule.trunk(step: taken + step)
        : schedule.decay(step: step - level, of: fall, from: schedule.trunk(step: taken + level))
      let report = try copy.learn(batch, rate: rate, recipe: recipe, dropout: dropout, teacher: teacher?.student)
      if step >= count - max(1, count / 10) { last = last + report }
      try progress?(
        StepReport(
          phase: .branch, step: step + 1, steps: count, meanLoss: report.meanLoss, tokens: batch.rowCount, rate: rate))
    }
    var refinement = RefinementReport()
    if recipe.distillSteps > 0, !memory.learned.isEmpty, let teacher {
      refinement.imitation = try imitate(teacher.student, copy)
    }
    if recipe.rftSteps > 0, !memory.learned.isEmpty { refinement.rejection = try learnAccepted(copy) }
    if recipe.rlSteps > 0, !memory.learned.isEmpty { refinement.reward = try climb(copy) }
    teacher?.student.releaseBuffers()
    copy.student.releaseBuffers()
    return StudentBranch(
      student: copy.student.merged(), tokenizer: copy.tokenizer, steps: count, finalLoss: last.meanLoss,
      refinement: refinement)
  }

  /// The model that the recipe names to distil from, as the student needs it; `nil` where it names none, and before the student exists.
  public func teacher(_ load: DistillationTeacher.Loader?) throws -> DistillationTeacher? {
    guard recipe.teacherDigest != nil, let trunk else { return nil }
    return try load?(trunk.tokenizer, trunk.student.configuration.vocabularySize)
  }

  private func check(_ teacher: DistillationTeacher?, _ trunk: Trunk) throws -> DistillationTeacher? {
    guard let named = recipe.teacherDigest else { return nil }
    guard let teacher else {
      throw TrainingError(
        .invalidBase, context: "the teacher", expected: "the model \(named) that the recipe names",
        found: "none", advice: "name its folder as train.teacher")
    }
    try teacher.check(recipe: recipe, tokenizer: trunk.tokenizer, student: trunk.student)
    return teacher
  }
}
