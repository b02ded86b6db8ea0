import Evaluation
package import StudentModel
import Tokenization
import Topics

extension Trainer {
  /// Predicts the next new samples, learns them, and replays earlier ones.
  func runRound() throws -> RoundReport {
    guard let trunk else { throw Self.notStarted }
    let entries = memory.pending(recipe.roundSize)
    var skipped: [SkippedSample] = []
    var unlearnable: Set<Int> = []
    var lessons: [TrainingSample] = []
    let logged = loggedTeacher(trunk)
    var soft = (used: 0, unlike: 0)
    for entry in entries {
      guard let sample = entry.sample else { continue }
      switch trunk.encoder.encode(sample) {
      case .success(let encoded):
        lessons.append(sample)
        guard let logged, sample.topLogprobs != nil else { continue }
        try LoggedTeacher.check(sample, digest: trunk.textDigest)
        if logged.targets(of: sample, in: encoded).isEmpty { soft.unlike += 1 } else { soft.used += 1 }
      case .failure(let failure):
        unlearnable.insert(entry.sequence)
        skipped.append(SkippedSample(id: sample.id, reason: failure.reason))
      }
    }
    let scores = try predict(lessons, trunk)
    memory.learn(entries, skipping: unlearnable)
    state.round += 1
    let totals = try learn(newSamples: lessons.count, trunk)
    // What was chosen out of interest says what is hard, not how right the student is on the traffic.
    let uniform = zip(lessons, scores ?? []).filter(\.0.audited).map(\.1)
    let score = PredictionTally(uniform)
    if scores != nil { state.add(score) }
    state.watch(
      uniform.map(\.isExact), isTold: lessons.contains(where: \.drifting), newSamples: lessons.count, recipe: recipe)
    state.samplesLearned += lessons.count
    state.sinceRelease += lessons.count
    state.isReleaseDue = state.sinceRelease >= state.releaseInterval(recipe)
    return RoundReport(
      round: state.round, newSamples: lessons.count, skipped: skipped, softSamples: soft.used,
      unlikeSamples: soft.unlike, steps: totals.steps,
      presentations: totals.presentations, tokens: totals.tokens, meanLoss: totals.loss.meanLoss,
      prequential: score.count == 0 ? nil : score)
  }

  private func predict(_ samples: [TrainingSample], _ trunk: Trunk) throws -> [CallScore]? {
    guard let predictor, !samples.isEmpty else { return nil }
    let calls = try predictor.predict(
      samples.map(\.messages), student: trunk.student, tokenizer: trunk.tokenizer, functions: functions)
    return zip(calls, samples).map { CallScore(predicted: $0, expected: $1.call) }
  }

  private func learn(newSamples count: Int, _ trunk: Trunk) throws -> WorkTotals {
    var totals = WorkTotals()
    let steps = plan.steps(newSamples: count)
    let swap = SlotSwap(recipe: recipe, functions: functions, domain: .swap, learned: memory.learned.count)
    let dropout = CounterRandom(seed: UInt64(recipe.seed), .dropout)
    let schedule = LearningRateSchedule(recipe)
    let functions = recipe.replayBalance > 0 ? memory.learnedByFunction : []
    for step in 0..<steps {
      let indices = plan.indices(
        round: state.round, step: step, of: steps, newSamples: count, learned: memory.learned.count,
        functions: functions, presentations: { memory.learned[$0].presentations })
      let batch = present(indices, swap: swap, trunk: trunk) { UInt64(memory.present($0)) }
      let rate = schedule.trunk(step: trunk.optimizer.step)
      let report = try trunk.learn(batch, rate: rate, recipe: recipe, dropout: dropout)
      totals.add(report, batch)
      try progress?(
        StepReport(
          phase: .round, step: step + 1, steps: steps, meanLoss: report.meanLoss, tokens: batch.rowCount, rate: rate))
    }
    return totals
  }

  /// The batch of these learned samples; `counter` names each presentation.
  package func present(
    _ indices: [Int], swap: SlotSwap, trunk: Trunk, counter: (Int) -> UInt64
  ) -> PackedBatch {
    var batch = PackedBatch()
    batch.softShare = Float(recipe.distillsSamples ? recipe.distillWeight : 0)
    let logged = loggedTeacher(trunk)
    var names: [String] = []
    for index in indices {
      let sample = memory.learned[index].sample
      let (messages, call) = swap.apply(sample, presentation: counter(index), pool: memory.pool)
      if observer != nil { names.append(sample.id) }
      // An exchange can make a sample too long; it is then presented as it is.
      let isExchanged = call != sample.call || messages != sample.messages
      if isExchanged, case .success(let encoded) = trunk.encoder.encode(messages, call) {
        batch.append(encoded, weight: sample.weight, promptShare: recipe.promptLossShare)
      } else if case .success(let encoded) = trunk.encoder.encode(sample) {
        batch.append(
          encoded, weight: sample.weight, promptShare: recipe.promptLossShare,
          soft: logged?.targets(of: sample, in: encoded) ?? [])
      }
    }
    observer?(names)
    return batch
  }

  /// The teacher that samples bring along; nil where the recipe does not learn from it.
  private func loggedTeacher(_ trunk: Trunk) -> LoggedTeacher? {
    recipe.distillsSamples ? LoggedTeacher(tokenizer: trunk.tokenizer, top: recipe.distillTop) : nil
  }

  static var notStarted: TrainingError {
    TrainingError(
      .notReady, context: "the student", expected: "at least one round", found: "none",
      advice: "send samples, or a cut record after fewer than tokenizer_samples")
  }
}

/// What a stretch of steps amounted to.
struct WorkTotals {
  var steps = 0
  var presentations = 0
  var tokens = 0
  var loss = LossReport()

  mutating func add(_ report: LossReport, _ batch: PackedBatch) {
    steps += 1
    presentations += batch.sequenceCount
    tokens += batch.rowCount
    loss = loss + report
  }
}
