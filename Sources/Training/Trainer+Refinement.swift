import Evaluation
import ModelFiles
import StudentModel
import Tokenization
import Topics

/// What a branch may do once its rate has fallen: on-policy distillation, rejection sampling, then reinforcement learning.
///
/// Both are functions of the trunk's checkpoint: requests, exchanged values and drawn tokens are hashes of (seed, round, step,
/// place), so that a phase that was killed is done again with the same bytes, and its answers are never stored.
extension Trainer {
  private func questions(
    _ range: Range<Int>, of order: [Int], _ domain: CounterRandom.Domain
  ) -> [RefinementQuestion] {
    let swap = SlotSwap(recipe: recipe, functions: functions, domain: domain, learned: memory.learned.count)
    return range.map { place in
      let sample = memory.learned[order[place]].sample
      let judged = recipe.sampleJudge == .recorded ? sample.judged : []
      // What was judged is the answer to the request as it was.
      let (messages, call) =
        judged.isEmpty
        ? swap.apply(sample, presentation: UInt64(state.round) << 32 | UInt64(place), pool: memory.pool)
        : (sample.messages, sample.call)
      return RefinementQuestion(
        id: sample.id, messages: messages, call: call, weight: sample.weight, judged: judged)
    }
  }

  /// The answers to each question, group by group; an answer twice as long as the longest right one is cut off.
  private func answers(
    _ questions: [RefinementQuestion], _ trunk: Trunk, size: Int, temperature: Double, isConstrained: Bool, seed: UInt64
  ) throws -> [[GroupSampler.Sample]] {
    let lengths = questions.compactMap { question -> Int? in
      guard case .success(let encoded) = trunk.encoder.encode(question.messages, question.call) else { return nil }
      return encoded.answer.count
    }
    let sampler = GroupSampler(
      size: size, temperature: temperature, isConstrained: isConstrained,
      maximumTokens: min(2 * (lengths.max() ?? 1), recipe.maximumSequence))
    return try sampler.sample(questions.map(\.messages), from: trunk, functions: functions, seed: seed)
  }

  private func report(
    _ phase: StepReport.Phase, _ step: Int, of steps: Int, _ loss: LossReport, tokens: Int, rate: Double
  ) throws {
    try progress?(
      StepReport(phase: phase, step: step + 1, steps: steps, meanLoss: loss.meanLoss, tokens: tokens, rate: rate))
  }

  // MARK: - On-policy distillation

  /// The student answers requests freely, their values exchanged, and learns at each of its tokens what the teacher would have
  /// written there: it meets its own mistakes, which the labels never show. The loss is the recipe's divergence alone.
  ///
  /// Reference: Agarwal et al. 2023, "On-policy distillation of language models" (GKD), arXiv 2306.13649, with the student's
  /// share of the data 1; no gradient goes through the sampling.
  ///
  /// - Throws: ``TrainingError`` `diverged`; what ``progress`` throws.
  func imitate(_ teacher: Student, _ trunk: Trunk) throws -> RefinementReport.Imitation {
    let count = recipe.distillRequests
    let order = plan.branchOrder(
      round: state.round, learned: memory.learned.count, count: recipe.distillSteps * count, .imitationOrder)
    let random = CounterRandom(seed: UInt64(recipe.seed), .imitationSampling)
    let schedule = LearningRateSchedule(recipe)
    var own = recipe
    (own.distillWeight, own.dropout) = (1, 0)
    var losses: [Double] = []
    for step in 0..<recipe.distillSteps {
      let questions = questions(step * count..<(step + 1) * count, of: order, .imitationSwap)
      let groups = try answers(
        questions, trunk, size: 1, temperature: 1, isConstrained: false,
        seed: random.bits(UInt64(state.round), UInt64(step)))
      var batch = PackedBatch()
      for (question, group) in zip(questions, groups) {
        let prompt = trunk.encoder.codec.prompt(question.messages)
        for answer in group where !answer.tokens.isEmpty {
          batch.append(prompt: prompt, completion: answer.tokens, weight: Float(question.weight))
        }
      }
      observer?(questions.map(\.id))
      let rate = schedule.decay(step: step, of: recipe.distillSteps, from: recipe.distillRate)
      let loss = try trunk.learn(
        batch, rate: rate, recipe: own, dropout: CounterRandom(seed: 0, .branchDropout), teacher: teacher)
      losses.append(loss.meanLoss)
      try report(.imitation, step, of: recipe.distillSteps, loss, tokens: batch.rowCount, rate: rate)
    }
    let part = max(1, losses.count / 10)
    return RefinementReport.Imitation(
      steps: losses.count, first: losses.prefix(part).reduce(0, +) / Double(part),
      last: losses.suffix(part).reduce(0, +) / Double(part))
  }

  // MARK: - Rejection sampling

  /// Rejection-sampling fine-tuning: the student answers learned requests, their values exchanged; the right answers to those
  /// that it answers right sometimes make half of each batch, and everything learned the other half.
  ///
  /// Requests that it always answers right teach nothing; of those that it never does, many have a wrong label.
  /// Reference: Dong et al. 2023, arXiv 2304.06767 (the loop); Xiong et al. 2025, arXiv 2504.11343 (both kinds dropped).
  ///
  /// - Throws: ``TrainingError`` `diverged`; what ``progress`` throws.
  func learnAccepted(_ trunk: Trunk) throws -> RefinementReport.Rejection {
    var result = RefinementReport.Rejection()
    let accepted = try accept(trunk, &result)
    result.joined = accepted.count
    guard !accepted.isEmpty else { return result }
    let size = recipe.batchSize
    let (own, others) = ((size + 1) / 2, size / 2)
    let order = plan.branchOrder(
      round: state.round, learned: accepted.count, count: recipe.rftSteps * own, .rejectionMix)
    let rest = plan.branchOrder(
      round: state.round, learned: memory.learned.count, count: recipe.rftSteps * others, .rejectionReplay)
    let swap = SlotSwap(recipe: recipe, functions: functions, domain: .rejectionSwap, learned: memory.learned.count)
    let dropout = CounterRandom(seed: UInt64(recipe.seed), .branchDropout)
    let schedule = LearningRateSchedule(recipe)
    for step in 0..<recipe.rftSteps {
      var position = UInt64(state.round) << 32 | UInt64(recipe.rftRequests + step * others)
      var batch = present(Array(rest[step * others..<(step + 1) * others]), swap: swap, trunk: trunk) { _ in
        position += 1
        return position
      }
      for index in order[step * own..<(step + 1) * own] {
        let question = accepted[index]
        if case .success(let encoded) = trunk.encoder.encode(question.messages, question.call) {
          batch.append(encoded, weight: question.weight, promptShare: recipe.promptLossShare)
        }
      }
      observer?(order[step * own..<(step + 1) * own].map { accepted[$0].id })
      let rate = schedule.decay(step: step, of: recipe.rftSteps, from: recipe.rftRate)
      let loss = try trunk.learn(batch, rate: rate, recipe: recipe, dropout: dropout)
      result.steps += 1
      try report(.rejection, step, of: recipe.rftSteps, loss, tokens: batch.rowCount, rate: rate)
    }
    return result
  }

  private func accept(_ trunk: Trunk, _ result: inout RefinementReport.Rejection) throws -> [RefinementQuestion] {
    let count = min(recipe.rftRequests, memory.learned.count * 64)
    let order = plan.branchOrder(round: state.round, learned: memory.learned.count, count: count, .rejectionOrder)
    let questions = questions(0..<count, of: order, .rejectionSwap)
    let random = CounterRandom(seed: UInt64(recipe.seed), .rejectionSampling)
    let groups = try answers(
      questions, trunk, size: recipe.sampleCount, temperature: recipe.sampleTemperature, isConstrained: true,
      seed: random.bits(UInt64(state.round)))
    var accepted: [RefinementQuestion] = []
    var seen: Set<Digest> = []
    for (question, group) in zip(questions, groups) {
      result.requests += 1
      let right = group.compactMap { question.accepted($0.call) }
      if right.count == group.count { result.allRight += 1 }
      if right.isEmpty { result.allWrong += 1 }
      guard right.count < group.count else { continue }
      for answered in right {
        let content = SampleRecord(id: "", messages: answered.messages, call: answered.call, split: .train).digest
        if seen.insert(content).inserted { accepted.append(answered) }
      }
    }
    return accepted
  }

  // MARK: - Reinforcement learning

  /// Group-relative policy optimization: the student answers requests freely, several times each; an answer counts by how
  /// much better it is than its group, see ``RefinementQuestion/reward(_:functions:)``. Groups whose rewards are all equal have nothing to teach and
  /// are left out; the loss is the mean over tokens.
  ///
  /// Reference: Shao et al. 2024, arXiv 2402.03300, equation 3, with an exact KL(student ‖ before) at each token instead of
  /// an estimate; Yu et al. 2025, arXiv 2503.14476 (bounds, mean over tokens, groups left out); Liu et al. 2025,
  /// arXiv 2503.20783 (advantages that are not divided by the deviation).
  ///
  /// - Throws: ``TrainingError`` `diverged`; what ``progress`` throws.
  func climb(_ trunk: Trunk) throws -> RefinementReport.Reward {
    let count = recipe.rlRequests
    let order = plan.branchOrder(
      round: state.round, learned: memory.learned.count, count: recipe.rlSteps * count, .rewardOrder)
    let reference = recipe.rlKL > 0 ? trunk.student.copy() : nil
    let schedule = LearningRateSchedule(recipe)
    var (rewards, useful): ([Double], Int) = ([], 0)
    for step in 0..<recipe.rlSteps {
      let questions = questions(step * count..<(step + 1) * count, of: order, .rewardSwap)
      let experience = try experience(questions, trunk, step: step)
      observer?(questions.map(\.id))
      rewards.append(experience.meanReward)
      useful += experience.usefulGroups
      let rate = schedule.decay(step: step, of: recipe.rlSteps, from: recipe.rlRate)
      let loss = try learn(experience, trunk, reference: reference, rate: rate)
      try report(.reward, step, of: recipe.rlSteps, loss, tokens: experience.batch.rowCount, rate: rate)
    }
    let part = max(1, rewards.count / 10)
    return RefinementReport.Reward(
      steps: rewards.count, first: rewards.prefix(part).reduce(0, +) / Double(part),
      last: rewards.suffix(part).reduce(0, +) / Double(part),
      usefulGroups: Double(useful) / Double(max(1, rewards.count * count)))
  }

  private func experience(_ questions: [RefinementQuestion], _ trunk: Trunk, step: Int) throws -> Experience {
    let random = CounterRandom(seed: UInt64(recipe.seed), .rewardSampling)
    let groups = try answers(
      questions, trunk, size: recipe.sampleCount, temperature: 1, isConstrained: false,
      seed: random.bits(UInt64(state.round), UInt64(step)))
    var experience = Experience()
    for (question, group) in zip(questions, groups) {
      experience.add(
        prompt: trunk.encoder.codec.prompt(question.messages), answers: group.map(\.tokens),
        rewards: group.map { question.reward($0.call, functions: functions) }, weight: question.weight,
        normalized: recipe.rlAdvantage == .normalized)
    }
    return experience
  }

  private func learn(
    _ experience: Experience, _ trunk: Trunk, reference: Student?, rate: Double
  ) throws -> LossReport {
    let (student, total) = (trunk.student, experience.batch.targetWeight)
    var loss = LossReport()
    guard total > 0 else { return loss }
    let parts = try experience.split(into: recipe.accumulationSteps).map { part in
      // With one update the answers are the student's own as it is: no probability has changed.
      let sampled = recipe.rlUpdates > 1 ? try student.logProbabilities(part.batch) : nil
      return (
        part.batch,
        PolicySignal(
          advantages: part.advantages, sampledLogProbabilities: sampled, clipLow: Float(recipe.rlClipLow),
          clipHigh: Float(recipe.rlClipHigh))
      )
    }
    for _ in 0..<recipe.rlUpdates {
      loss = LossReport()
      for (index, (batch, signal)) in parts.enumerated() {
        let logits = try reference?.forward(batch)
        let one = try logits.withBuffer {
          try student.forwardBackward(
            batch, policy: signal, referenceLogits: $0, klWeight: Float(recipe.rlKL), accumulate: index > 0,
            normalizer: Float(total))
        }
        loss = loss + one
      }
      try trunk.optimizer.apply(to: student, rate: rate, recipe: recipe)
    }
    return loss
  }
}

extension [Float]? {
  /// Calls `body` with the numbers, or with nil.
  fileprivate func withBuffer<T>(_ body: (UnsafeBufferPointer<Float>?) throws -> T) rethrows -> T {
    try self?.withUnsafeBufferPointer(body) ?? body(nil)
  }
}
