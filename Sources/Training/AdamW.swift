import CKernels
package import StudentModel

/// AdamW with clipping over a student's flat buffers: the two moments and the step count.
///
/// Reference: Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2; clipping by global norm as Pascanu et al. 2013,
/// arXiv 1211.5063, section 3.2.
package final class AdamW {
  /// The number of steps taken.
  package private(set) var step: Int
  /// The moving average of gradients, laid out as the parameters.
  package let firstMoment: UnsafeMutableBufferPointer<Float>
  /// The moving average of squared gradients.
  package let secondMoment: UnsafeMutableBufferPointer<Float>
  private let ranges: [retort_range]
  private var scratch: [Double]

  /// An optimizer of a student with that layout; moments start at 0.
  package init(layout: ParameterLayout, step: Int = 0) {
    self.step = step
    firstMoment = .allocate(capacity: layout.count)
    secondMoment = .allocate(capacity: layout.count)
    firstMoment.initialize(repeating: 0)
    secondMoment.initialize(repeating: 0)
    ranges = layout.decayRanges.map {
      retort_range(start: $0.range.lowerBound, count: $0.range.count, decays: $0.decays ? 1 : 0)
    }
    scratch = [Double](repeating: 0, count: Int(retort_squared_norm_scratch(layout.count)))
  }

  deinit {
    firstMoment.deallocate()
    secondMoment.deallocate()
  }

  /// A second optimizer in the same state.
  package func copy(layout: ParameterLayout) -> AdamW {
    let other = AdamW(layout: layout, step: step)
    _ = other.firstMoment.update(from: firstMoment)
    _ = other.secondMoment.update(from: secondMoment)
    return other
  }

  /// One step along the student's gradient.
  ///
  /// - Returns: the norm of the gradient before clipping.
  /// - Throws: ``TrainingError`` `diverged` where the norm is not finite; nothing has changed then.
  @discardableResult
  package func apply(to student: Student, rate: Double, recipe: TrainingRecipe) throws(TrainingError) -> Double {
    guard let gradients = student.gradients.baseAddress, let parameters = student.parameters.baseAddress,
      let first = firstMoment.baseAddress, let second = secondMoment.baseAddress
    else { return 0 }
    let squared = retort_squared_norm(student.layout.count, gradients, &scratch)
    let norm = squared.squareRoot()
    guard norm.isFinite else {
      throw TrainingError(
        .diverged, context: "step \(step + 1)", expected: "a finite gradient", found: "\(norm)",
        advice: "lower learning_rate and train again")
    }
    step += 1
    let settings = retort_adamw_settings(
      learning_rate: rate, beta1: recipe.beta1, beta2: recipe.beta2, epsilon: recipe.epsilon,
      weight_decay: recipe.weightDecay, gradient_scale: norm > recipe.clipNorm ? recipe.clipNorm / norm : 1,
      step: Int64(step))
    retort_adamw(ranges, ranges.count, parameters, gradients, first, second, settings)
    return norm
  }
}
