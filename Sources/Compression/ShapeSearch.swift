import ModelFiles
package import StudentModel

/// Finds the shape that reaches a target with the least harm.
///
/// From the shape that the plan's axes give, one step at a time: a sixteenth of the feed-forward width, one block, or one
/// query head from every group with as many residual channels. Of the possible steps the one with the least harm for what
/// it saves is taken, the first of equals, until the target is met; at last hidden width, blocks and feed-forward width grow
/// back as far as the target allows. No axis goes below a quarter. Harm is measured: the divergence from the parent right after
/// pruning, without recovery; without samples, the share of importance that goes. The same inputs give the same shape.
/// Reference: the greedy form is ours; Muralidharan et al. 2024, arXiv 2407.14679, section 2.4, enumerate shapes instead.
package struct ShapeSearch {
  private let parent: Student
  private let importance: Importance
  private let divergence: Divergence?
  package let cost: ModelCost

  /// - Parameter divergence: how harm is measured; nil for the share of importance.
  package init(parent: Student, importance: Importance, divergence: Divergence?, cost: ModelCost) {
    self.parent = parent
    self.importance = importance
    self.divergence = divergence
    self.cost = cost
  }

  /// A shape at most as costly as the target says.
  ///
  /// - Throws: ``CompressionError`` `mismatch` where no shape reaches it.
  package func shape(from start: PruningShape, target: PruningPlan.Target) throws -> PruningShape {
    let before = cost(parent.configuration, in: target.measure)
    let limit: Int =
      switch target.amount {
      case .count(let count): count
      case .share(let share): Int((Double(before) * share).rounded(.down))
      }
    var shape = start
    var harm = try harm(of: shape)
    while try size(shape, target) > limit {
      var best: (score: Double, shape: PruningShape, harm: Double)?
      for candidate in try steps(from: shape) {
        let found = try self.harm(of: candidate)
        let saved = try size(shape, target) - size(candidate, target)
        guard saved > 0 else { continue }
        let score = (found - harm) / Double(saved)
        if best.map({ score < $0.score }) ?? true { best = (score, candidate, found) }
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
    var shallower = shape
    shallower.layerCount -= 1
    if shallower.layerCount >= max(1, before.layerCount / 4) { list.append(shallower) }
    var slimmer = shape
    slimmer.hiddenSize -= PruningPlan.hiddenUnit(parent.configuration, groups: shape.keyValueHeadCount)
    if slimmer.hiddenSize >= max(32, before.hiddenSize / 4) { list.append(slimmer) }
    return list
  }

  /// What a shape loses, ≥ 0: nats of divergence, or a share of importance.
  func harm(of shape: PruningShape) throws -> Double {
    guard shape != PruningShape(parent.configuration) else { return 0 }
    guard let divergence else { return importance.lost(by: shape, of: parent.configuration) }
    return try divergence(Pruner.prune(parent, to: shape, importance: importance))
  }
}

extension Importance {
  /// The importance that a shape gives up: the sum, over blocks, heads, neurons and channels, of the share of each that goes.
  func lost(by shape: PruningShape, of parent: DecoderConfiguration) -> Double {
    let layers = Self.largest(shape.layerCount, blocks)
    let heads = shape.hiddenSize / parent.headSize
    return Self.share(of: blocks, lostBy: shape.layerCount) + Self.share(of: channels, lostBy: shape.hiddenSize)
      + layers.reduce(0) { sum, layer in
        sum + Self.share(of: neurons[layer], lostBy: shape.feedForwardSize)
          + Self.share(of: self.heads[layer], lostBy: heads)
      } / Double(max(1, layers.count))
  }

  private static func share(of values: [Double], lostBy count: Int) -> Double {
    let sum = values.reduce(0, +)
    guard sum > 0, count < values.count else { return 0 }
    return 1 - largest(count, values).reduce(0) { $0 + values[$1] } / sum
  }

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
