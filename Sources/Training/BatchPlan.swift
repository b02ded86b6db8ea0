/// Which samples make each step of a round, and each step of a branch.
///
/// A round of n new samples takes S = max(1, round(n · (1 + r) / B)) steps of B presentations, r being the replayed ones
/// per new one. Each new sample stands in exactly one of them, spread evenly in order; the rest of each batch is drawn from
/// everything learned, this round included, by a hash of (seed, round, step, slot). A share of the draws, `replay_balance`,
/// draws a function first and then one of its samples, so that what is rare in the traffic is not forgotten.
package struct BatchPlan: Sendable {
  private let recipe: TrainingRecipe
  private let replay: CounterRandom
  private let balance: CounterRandom

  package init(recipe: TrainingRecipe) {
    self.recipe = recipe
    replay = CounterRandom(seed: UInt64(recipe.seed), .replay)
    balance = CounterRandom(seed: UInt64(recipe.seed), .balance)
  }

  /// The number of steps of a round with `count` new samples.
  package func steps(newSamples count: Int) -> Int {
    guard count > 0 else { return 0 }
    let presentations = Double(count) * (1 + recipe.replayPerSample)
    return max(1, Int((presentations / Double(recipe.batchSize)).rounded()))
  }

  /// The indices of learned samples that step `step` of a round presents: the new ones, then replayed ones.
  ///
  /// - Parameters:
  ///   - count: The number of new samples; they are the last of `learned`.
  ///   - learned: The number of learned samples, the new ones included.
  ///   - functions: The indices of learned samples by function, for balanced draws.
  ///   - presentations: How often a learned sample has been presented.
  package func indices(
    round: Int, step: Int, of steps: Int, newSamples count: Int, learned: Int, functions: [[Int]] = [],
    presentations: (Int) -> Int
  ) -> [Int] {
    let start = learned - count
    var result = Array(start + count * step / steps..<start + count * (step + 1) / steps)
    guard recipe.replayPerSample > 0 else { return result }
    var slot = 0
    while result.count < recipe.batchSize {
      let group = balancedGroup(round: round, step: step, slot: slot, functions)
      result.append(
        draw(round: round, step: step, slot: slot, learned: learned, group: group, presentations: presentations))
      slot += 1
    }
    return result
  }

  /// The samples of the function that a balanced draw falls on; nil where the draw is of all.
  private func balancedGroup(round: Int, step: Int, slot: Int, _ functions: [[Int]]) -> [Int]? {
    guard recipe.replayBalance > 0, !functions.isEmpty else { return nil }
    let place = (UInt64(round), UInt64(step), UInt64(2 * slot))
    guard balance.unit(place.0, place.1, place.2) < recipe.replayBalance else { return nil }
    return functions[balance.index(below: functions.count, place.0, place.1, place.2 + 1)]
  }

  private func draw(
    round: Int, step: Int, slot: Int, learned: Int, group: [Int]?, presentations: (Int) -> Int
  ) -> Int {
    var best = 0
    var fewest = Int.max
    for choice in 0..<recipe.replayChoices {
      let place = UInt64(slot * recipe.replayChoices + choice)
      let drawn = replay.index(below: group?.count ?? learned, UInt64(round), UInt64(step), place)
      let index = group?[drawn] ?? drawn
      let count = recipe.replayChoices == 1 ? 0 : presentations(index)
      if count < fewest {
        fewest = count
        best = index
      }
    }
    return best
  }

  /// The order in which a branch from `round` goes through `learned` samples, `count` presentations in all: one
  /// permutation after another. Each phase of a branch has a domain of its own.
  package func branchOrder(
    round: Int, learned: Int, count: Int, _ domain: CounterRandom.Domain = .branchOrder
  ) -> [Int] {
    guard learned > 0 else { return [] }
    let branch = CounterRandom(seed: UInt64(recipe.seed), domain)
    var result: [Int] = []
    var pass = 0
    while result.count < count {
      let order = branch.permutation(of: learned, UInt64(round) << 32 | UInt64(pass))
      result += order.prefix(count - result.count)
      pass += 1
    }
    return result
  }
}
