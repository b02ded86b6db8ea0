import ModelFiles
package import StudentModel

/// Finds the shape that reaches a target with the least harm.
///
/// At each depth that may be enough, from the shape that the plan's axes give, one step at a time: a sixteenth of the
/// feed-forward width, or one query head from every group with as many residual channels. Of the possible steps the one with
/// the least harm for what it saves is taken, the first of equals, until the target is met; at last hidden width and
/// feed-forward width grow back as far as the target allows. No step goes below a quarter. Harm is the divergence from the
/// parent right after pruning.
///
/// That does not tell depths apart: a block that is left out harms most at first and recovers best. So the shape of every
/// depth is recovered for a short time, and that with the least divergence then is taken. Where nothing can recover, blocks
/// are one more axis of the steps. Without samples no harm can be measured, and the norms of neurons, channels and blocks do not compare:
/// the feed-forward width goes as far as it may, then the hidden width, then blocks, none of which such a model does without. The same
/// inputs give the same shape. Reference: Muralidharan et al. 2024, arXiv 2407.14679, section 2.4 (candidates ranked after a short retraining; they
/// enumerate all shapes, the greedy steps are ours).
package struct ShapeSearch {
  private let parent: Student
  private let importance: Importance
  private let divergence: Divergence?
  package let cost: ModelCost

  /// - Parameter divergence: how harm is measured; nil where it cannot be.
  package init(parent: Student, importance: Importance, divergence: Divergence?, cost: ModelCost) {
    self.parent = parent
    self.importance = importance
    self.divergence = divergence
    self.cost = cost
  }

  /// A shape at most as costly as the target says.
  ///
  /// - Parameter trial: recovers a student for a short time, in place; nil where nothing can.
  /// - Throws: ``CompressionError`` `mismatch` where no shape reaches it; what `trial` throws.
  package func shape(
    from start: PruningShape, target: PruningPlan.Target, trial: ((Student) throws -> Void)? = nil
  ) throws -> PruningShape {
    guard let divergence, let trial else { return try shape(from: start, target: target, changesDepth: true) }
    let candidates = try candidates(from: start, target: target)
    guard candidates.count > 1 else {
      return try candidates.first ?? shape(from: start, target: target, changesDepth: true)
    }
    let scores = try candidates.map { candidate in
      let student = try Pruner.prune(parent, to: candidate, importance: importance)
      try trial(student)
      return try divergence(student)
    }
    let best = scores.indices.min { scores[$0] < scores[$1] } ?? 0
    return candidates[best]
  }

  /// The most depths that are tried.
  private static let depthLimit = 8

  /// The best shape of each depth that reaches the target, the deepest first; it ends where depth alone is enough.
  package func candidates(from start: PruningShape, target: PruningPlan.Target) throws -> [PruningShape] {
    let limit = limit(of: target)
    var starts: [PruningShape] = []
    // A plan may begin below a quarter of the blocks.
    let least = min(max(1, parent.configuration.layerCount / 4), start.layerCount)
    for depth in (least...start.layerCount).reversed() {
      var shape = start
      shape.layerCount = depth
      starts.append(shape)
      if try size(shape, target) <= limit { break }
    }
    let count = min(starts.count, Self.depthLimit)
    let chosen = (0..<count).map { starts[$0 * (starts.count - 1) / max(1, count - 1)] }
    return try chosen.compactMap { start in
      do {
        return try shape(from: start, target: target, changesDepth: false)
      } catch let error as CompressionError where error.code == .mismatch {
        return nil
      }
    }
  }

  private func limit(of target: PruningPlan.Target) -> Int {
    switch target.amount {
    case .count(let count): count
    case .share(let share): Int((Double(cost(parent.configuration, in: target.measure)) * share).rounded(.down))
    }
  }

  private func shape(
    from start: PruningShape, target: PruningPlan.Target, changesDepth: Bool
  ) throws -> PruningShape {
    let limit = limit(of: target)
    var shape = start
    var harm = try harm(of: shape)
    while try size(shape, target) > limit {
      var best: (score: Double, shape: PruningShape, harm: Double)?
      for candidate in try steps(from: shape) where changesDepth || candidate.layerCount == start.layerCount {
        let found = try self.harm(of: candidate)
        let saved = try size(shape, target) - size(candidate, target)
        guard saved > 0 else { continue }
        let score = (found - harm) / Double(saved)
        if best.map({ score < $0.score }) ?? true { best = (score, candidate, found) }
        if divergence == nil { break }
      }
      guard let best else {
        throw CompressionError(
          .mismatch, context: "prune, \(target.measure.rawValue)", expected: "at most \(limit)",
          found: "\(try size(shape, target)) with every axis at a quarter or less",
          advice: "ask for less, drop unused tokens too, or start from a smaller model")
      }
      shape = best.shape
      harm = best.harm
    }
    return try grown(shape, start: start, target: target, limit: limit)
  }

  private func grown(
    _ shape: PruningShape, start: PruningShape, target: PruningPlan.Target, limit: Int
  ) throws -> PruningShape {
    let unit = PruningPlan.hiddenUnit(parent.configuration, groups: shape.keyValueHeadCount)
    let steps: [(WritableKeyPath<PruningShape, Int>, Int)] = [
      (\.hiddenSize, unit), (\.layerCount, 1), (\.feedForwardSize, 32),
    ]
    var shape = shape
    for (axis, step) in steps {
      while shape[keyPath: axis] < start[keyPath: axis] {
        var larger = shape
        larger[keyPath: axis] = min(start[keyPath: axis], shape[keyPath: axis] + step)
        guard try size(larger, target) <= limit else { break }
        shape = larger
      }
    }
    return shape
  }

  private func size(_ shape: PruningShape, _ target: PruningPlan.Target) throws -> Int {
    cost(try shape.configuration(prunedFrom: parent.configuration), in: target.measure)
  }

  /// One step along each axis that can still go.
  private func steps(from shape: PruningShape) throws -> [PruningShape] {
    let before = PruningShape(parent.configuration)
    var list: [PruningShape] = []
    let neurons = max(32, before.feedForwardSize / 16 / 32 * 32)
    var narrower = shape
    narrower.feedForwardSize = (shape.feedForwardSize - neurons + 31) / 32 * 32
    if narrower.feedForwardSize >= max(32, before.feedForwardSize / 4) { list.append(narrower) }
    var slimmer = shape
    slimmer.hiddenSize -= PruningPlan.hiddenUnit(parent.configuration, groups: shape.keyValueHeadCount)
    if slimmer.hiddenSize >= max(32, before.hiddenSize / 4) { list.append(slimmer) }
    var shallower = shape
    shallower.layerCount -= 1
    if shallower.layerCount >= max(1, before.layerCount / 4) { list.append(shallower) }
    return list
  }

  /// What a shape loses, ≥ 0: nats of divergence; 0 where that cannot be measured.
  func harm(of shape: PruningShape) throws -> Double {
    guard let divergence, shape != PruningShape(parent.configuration) else { return 0 }
    return try divergence(Pruner.prune(parent, to: shape, importance: importance))
  }
}

extension Importance {
  /// Measures blocks: how far the student's predictions move when each alone is left out.
  mutating func measureBlocks(of student: Student, _ divergence: Divergence) throws {
    var shape = PruningShape(student.configuration)
    guard shape.layerCount > 1 else { return }
    shape.layerCount -= 1
    let weights = self
    blocks = try (0..<student.configuration.layerCount).map { layer in
      var without = weights
      without.blocks = (0..<student.configuration.layerCount).map { $0 == layer ? 0 : 1 }
      return try divergence(Pruner.prune(student, to: shape, importance: without))
    }
  }
}
