import Testing
import Training

@Suite("Rounds and draws") struct BatchPlanTests {
  @Test("Every new sample stands in exactly one step of its round, and every batch is full")
  func newSamples() {
    let plan = BatchPlan(
      recipe: Fixture.recipe {
        $0.replayPerSample = 3; $0.batchSize = 16
      })
    let steps = plan.steps(newSamples: 50)
    #expect(steps == 13)
    var seen: [Int] = []
    for step in 0..<steps {
      let indices = plan.indices(
        round: 3, step: step, of: steps, newSamples: 50, learned: 500, presentations: { _ in 0 })
      #expect(indices.count == 16)
      let count = 50 * (step + 1) / steps - 50 * step / steps
      seen += indices.prefix(count)
    }
    #expect(seen == Array(450..<500))
  }

  @Test("Without replay a round presents its new samples once and nothing else")
  func noReplay() {
    let plan = BatchPlan(
      recipe: Fixture.recipe {
        $0.replayPerSample = 0; $0.batchSize = 32
      })
    let steps = plan.steps(newSamples: 100)
    let all = (0..<steps).flatMap { step in
      plan.indices(round: 1, step: step, of: steps, newSamples: 100, learned: 100, presentations: { _ in 0 })
    }
    #expect(all == Array(0..<100))
    #expect(plan.steps(newSamples: 0) == 0)
    #expect(plan.steps(newSamples: 1) == 1)
  }

  @Test("Replayed samples are drawn uniformly, and by coordinates alone")
  func uniform() {
    let plan = BatchPlan(
      recipe: Fixture.recipe {
        $0.replayPerSample = 99; $0.batchSize = 100
      })
    var counts = [Int](repeating: 0, count: 10)
    let steps = plan.steps(newSamples: 100)
    for step in 0..<steps {
      let indices = plan.indices(
        round: 2, step: step, of: steps, newSamples: 100, learned: 1_000, presentations: { _ in 0 })
      for index in indices.dropFirst() { counts[index / 100] += 1 }
      let again = plan.indices(
        round: 2, step: step, of: steps, newSamples: 100, learned: 1_000, presentations: { _ in 5 })
      #expect(indices == again)
    }
    // 9,900 draws in 10 equal parts: 990 each, standard deviation 30.
    #expect(counts.allSatisfy { abs($0 - 990) < 150 })
    let other = BatchPlan(
      recipe: Fixture.recipe {
        $0.replayPerSample = 99; $0.batchSize = 100; $0.seed = 8
      })
    let a = plan.indices(round: 2, step: 0, of: steps, newSamples: 100, learned: 1_000, presentations: { _ in 0 })
    let b = other.indices(round: 2, step: 0, of: steps, newSamples: 100, learned: 1_000, presentations: { _ in 0 })
    #expect(a != b)
  }

  @Test("With more choices the samples presented least come first")
  func choices() {
    let plan = BatchPlan(
      recipe: Fixture.recipe {
        $0.replayPerSample = 15; $0.batchSize = 16; $0.replayChoices = 2
      })
    var low = 0
    var all = 0
    for round in 0..<100 {
      let indices = plan.indices(
        round: round, step: 0, of: 1, newSamples: 1, learned: 100, presentations: { $0 < 50 ? 9 : 1 })
      low += indices.dropFirst().count { $0 < 50 }
      all += 15
    }
    // A quarter of the pairs has both candidates among the often presented ones.
    #expect(abs(Double(low) / Double(all) - 0.25) < 0.04)
  }

  @Test("A branch goes through everything before it comes back to anything")
  func branchOrder() {
    let plan = BatchPlan(recipe: Fixture.recipe())
    let order = plan.branchOrder(round: 4, learned: 30, count: 70)
    #expect(order.count == 70)
    #expect(order.prefix(30).sorted() == Array(0..<30))
    #expect(order[30..<60].sorted() == Array(0..<30))
    #expect(Array(order.prefix(30)) != Array(order[30..<60]))
    #expect(plan.branchOrder(round: 5, learned: 30, count: 70) != order)
    #expect(plan.branchOrder(round: 5, learned: 0, count: 70).isEmpty)
  }
}
